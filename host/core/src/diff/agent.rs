//! Two versions of an agent.

use crate::runner::AgentInfo;

use super::{Change, Direction, listed, noted, schemas};

/// Data levels, lowest first.
const LEVELS: &[&str] = &["public", "internal", "personal", "secret"];
/// Risk classes, lowest first.
const RISKS: &[&str] = &["low", "medium", "high"];

/// Compares two versions of an agent, or two agents. Nothing is listed for components that are the same.
///
/// - What it imports, wants, has as stub or ambient interface: more is wider.
/// - A higher data level is wider, and a higher risk class. A lower risk class is `changed`: it is a claim, and policies may permit more to it.
/// - Schemas as [`schemas`] says: what takes or gives more is wider.
pub fn agents(before: &AgentInfo, after: &AgentInfo) -> Vec<Change> {
    let mut changes = Vec::new();
    listed(&mut changes, "imports", &before.imports, &after.imports);
    listed(&mut changes, "wants", &before.wants, &after.wants);
    listed(&mut changes, "ambient", &before.ambient, &after.ambient);
    listed(&mut changes, "stubs", &before.stubs, &after.stubs);
    ranked(&mut changes, "data level", LEVELS, (&before.data_level, &after.data_level), Direction::Narrower);
    ranked(&mut changes, "risk class", RISKS, (&before.risk_class, &after.risk_class), Direction::Changed);
    changes.extend(schemas(&before.input_schema, &after.input_schema).into_iter().map(|change| change.within("takes")));
    changes.extend(schemas(&before.output_schema, &after.output_schema).into_iter().map(|change| change.within("gives")));
    noted(&mut changes, "name", before.name.as_str(), after.name.as_str());
    noted(&mut changes, "purpose", &before.purpose, &after.purpose);
    noted(&mut changes, "owner", &before.owner, &after.owner);
    noted(&mut changes, "review by", &before.review_by, &after.review_by);
    changes
}

fn ranked(changes: &mut Vec<Change>, what: &str, ranks: &[&str], (before, after): (&str, &str), lower: Direction) {
    if before == after {
        return;
    }
    let rank = |word: &str| ranks.iter().position(|rank| *rank == word);
    let direction = match (rank(before), rank(after)) {
        (Some(before), Some(after)) if after > before => Direction::Wider,
        (Some(_), Some(_)) => lower,
        // A word that no host of today knows.
        _ => Direction::Changed,
    };
    changes.push(Change::new(direction, what, Some(before.to_owned()), Some(after.to_owned())));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::Digest;

    fn info() -> AgentInfo {
        AgentInfo {
            name: "mailer".into(),
            version: "1.0.0".to_owned(),
            component: Digest::of(b"1"),
            purpose: "writes".to_owned(),
            owner: "team".to_owned(),
            data_level: "internal".to_owned(),
            risk_class: "medium".to_owned(),
            review_by: String::new(),
            input_schema: json!({"type": "object", "additionalProperties": false, "properties": {"id": {"type": "string"}}}),
            output_schema: json!({"type": "object"}),
            imports: vec!["bailiwick:crm/customers@0.1.0.get".to_owned()],
            wants: vec!["crm/customers.get".to_owned()],
            ambient: vec!["wasi:cli/stdout@0.2.6".to_owned()],
            stubs: Vec::new(),
        }
    }

    #[test]
    fn an_identical_rebuild_shows_nothing() {
        // The digest is another one where a compiler is; what the agent can do is the same.
        let rebuilt = AgentInfo { component: Digest::of(b"2"), version: "1.0.1".to_owned(), ..info() };
        assert_eq!(agents(&info(), &rebuilt), []);
    }

    type Edit = fn(&mut AgentInfo);

    #[test]
    fn each_part_says_which_way_it_changed() {
        use Direction::{Changed, Narrower, Noted, Wider};
        let table: &[(Edit, &str, Direction, Direction)] = &[
            (|a| a.imports.push("bailiwick:crm/notes@0.1.0.append".to_owned()), "imports", Wider, Narrower),
            (|a| a.wants.push("crm/notes.append".to_owned()), "wants", Wider, Narrower),
            (|a| a.ambient.push("wasi:random/random@0.2.6".to_owned()), "ambient", Wider, Narrower),
            (|a| a.stubs.push("wasi:sockets/tcp".to_owned()), "stubs", Wider, Narrower),
            (|a| a.data_level = "personal".to_owned(), "data level", Wider, Narrower),
            (|a| a.risk_class = "high".to_owned(), "risk class", Wider, Changed),
            (|a| a.risk_class = "none".to_owned(), "risk class", Changed, Changed),
            (|a| a.input_schema["properties"]["name"] = json!({}), "takes, field `name`", Wider, Narrower),
            (|a| a.output_schema["required"] = json!(["x"]), "gives, required field `x`", Narrower, Wider),
            (|a| a.purpose = "reads".to_owned(), "purpose", Noted, Noted),
            (|a| a.owner = "others".to_owned(), "owner", Noted, Noted),
            (|a| a.review_by = "2027-01-01".to_owned(), "review by", Noted, Noted),
        ];
        for (edit, what, forth, back) in table {
            let (before, mut after) = (info(), info());
            edit(&mut after);
            for (changes, direction) in [(agents(&before, &after), forth), (agents(&after, &before), back)] {
                let found: Vec<_> = changes.iter().map(|change| (change.what.as_str(), change.direction)).collect();
                assert_eq!(found, [(*what, *direction)]);
            }
        }
    }
}
