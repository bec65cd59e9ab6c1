//! Texts that nobody means well with: the loader says something, and never breaks.

use proptest::prelude::*;
use serde_json::json;

use crate::support::{FakeRunner, answer, returns, sample, try_load};

fn whole() -> String {
    std::fs::read_to_string(sample().join("workflow.yaml")).unwrap()
}

/// Pieces that mean something to YAML, to expressions or to the loader.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("workflow: w\n".to_owned()),
        Just("version: \"1\"\n".to_owned()),
        Just("steps:\n  a: { agent: a }\n".to_owned()),
        Just("output: \"${ a.ok }\"\n".to_owned()),
        Just("input: { schema: { type: object } }\n".to_owned()),
        Just("  when: \"a.b && ${ c }\"\n".to_owned()),
        Just("on-error: [ { retry: { max: 99 } } ]".to_owned()),
        Just("<<: *x\n".to_owned()),
        Just("&x ".to_owned()),
        Just("!!binary ".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("---\n".to_owned()),
        Just("? ".to_owned()),
        Just("- ".to_owned()),
        Just("\t".to_owned()),
        Just("{".to_owned()),
        Just("}]".to_owned()),
        Just("\"".to_owned()),
        "[ -~\n]{0,12}",
        ".{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_answered(pieces in proptest::collection::vec(piece(), 0..25)) {
        let runner = FakeRunner::default().simple("a", [answer(json!({"ok": true}))]);
        let text = pieces.concat();
        if let Err(refused) = try_load(&text, &runner) {
            prop_assert!(!refused.0.is_empty());
            for diagnostic in &refused.0 {
                prop_assert!(text.get(diagnostic.span.clone()).is_some(), "{diagnostic:?}");
                prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
                // What is shown to people can always be rendered.
                let mut shown = String::new();
                miette::NarratableReportHandler::new().render_report(&mut shown, diagnostic).unwrap();
                prop_assert!(shown.contains(&diagnostic.message));
            }
        }
    }

    /// A good workflow with a piece cut out, doubled or put in.
    #[test]
    fn a_damaged_workflow_is_answered(at in any::<prop::sample::Index>(), len in 0_usize..60, piece in piece()) {
        let text = whole();
        let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let start = *at.get(&bounds);
        let end = bounds.iter().copied().find(|end| *end >= start + len).unwrap_or(text.len());
        let damaged = format!("{}{piece}{}", &text[..start], &text[end..]);
        let runner = returns::runner(returns::Acts::default());
        if let Err(refused) = try_load(&damaged, &runner) {
            prop_assert!(!refused.0.is_empty());
        }
    }

    /// Comments, and the order of keys and steps, are not in the plan.
    #[test]
    fn order_does_not_change_the_plan(order in Just(["a", "b", "c"].to_vec()).prop_shuffle(), flip in any::<bool>()) {
        let step = |name: &&str| match (flip, *name) {
            (true, "c") => "  c: { with: { y: 2, x: \"${a.ok}\" }, agent: a } # last\n".to_owned(),
            (false, "c") => "  c:\n    agent: a\n    with: { x: \"${ a.ok }\", y: 2 }\n".to_owned(),
            (_, name) => format!("  {name}: {{ agent: a }}\n"),
        };
        let steps: String = order.iter().map(step).collect();
        let text = format!("workflow: w\nversion: \"1\"\ninput: {{ schema: {{ type: object }} }}\nsteps:\n{steps}output: \"${{ c.ok }}\"\n");
        let runner = FakeRunner::default().simple("a", [answer(json!({"ok": true}))]);
        let base = "workflow: w\nversion: \"1\"\noutput: \"${ c.ok }\"\nsteps: { a: {agent: a}, b: {agent: a}, c: {agent: a, with: {x: \"${ a.ok }\", y: 2}} }\ninput: { schema: { type: object } }\n";
        let digest = |text: &str| *try_load(text, &runner).unwrap().compiled().digest();
        prop_assert_eq!(digest(&text), digest(base));
        prop_assert_ne!(digest(&text.replace("y: 2", "y: 3")), digest(base));
    }
}
