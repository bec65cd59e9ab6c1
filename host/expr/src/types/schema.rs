//! Types from JSON Schema (draft 2020-12, as schemars 1.x writes it).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::{Field, Type};

/// How many schemas may lie inside one another.
const MAX_DEPTH: usize = 64;
/// How many schemas one document may unfold into, so that references to references cannot multiply without end.
const MAX_SCHEMAS: usize = 20_000;

/// Why a JSON Schema cannot be read as a type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaProblem {
    /// A `$ref` leads outside the document; nothing is ever fetched.
    #[error("`$ref` to `{0}` leaves the document: only `#` and `#/…` are followed")]
    RemoteReference(String),
    /// A `$ref` leads to nothing.
    #[error("`$ref` to `{0}` leads nowhere in the document")]
    MissingReference(String),
    /// A keyword has a value that JSON Schema does not allow.
    #[error("`{keyword}` must be {expected}")]
    Malformed {
        /// The keyword.
        keyword: &'static str,
        /// What its value must be.
        expected: &'static str,
    },
    /// `type` names a type that JSON does not have.
    #[error("`{0}` is no JSON type")]
    UnknownType(String),
    /// Schemas lie too deep inside one another, or unfold into too many.
    #[error("the schema is too large: at most {MAX_DEPTH} levels and {MAX_SCHEMAS} schemas")]
    TooLarge,
}

impl Type {
    /// Reads a JSON Schema (draft 2020-12) as a type.
    ///
    /// Objects are open unless `additionalProperties` is false. Alternatives (`anyOf`, `oneOf`, several types) become
    /// the smallest type that holds all of them, `Any` at worst. A schema that refers to itself is `Any` where it
    /// does. Constraints that say nothing about the type (`minimum`, `pattern`, `format`, …) are ignored: validation
    /// is not this crate's work.
    ///
    /// # Errors
    /// The schema is malformed, too large, or has a `$ref` that leaves the document or leads nowhere.
    pub fn from_schema(schema: &Value) -> Result<Self, SchemaProblem> {
        let mut reader = Reader { root: schema, following: vec!["#".to_owned()], depth: 0, schemas: 0 };
        reader.read(schema)
    }
}

struct Reader<'s> {
    root: &'s Value,
    following: Vec<String>,
    depth: usize,
    schemas: usize,
}

impl<'s> Reader<'s> {
    fn read(&mut self, schema: &'s Value) -> Result<Type, SchemaProblem> {
        self.schemas += 1;
        if self.depth >= MAX_DEPTH || self.schemas > MAX_SCHEMAS {
            return Err(SchemaProblem::TooLarge);
        }
        self.depth += 1;
        let ty = match schema {
            Value::Bool(_) => Ok(Type::Any),
            Value::Object(keywords) => self.read_keywords(keywords),
            _ => Err(SchemaProblem::Malformed { keyword: "schema", expected: "an object or a boolean" }),
        };
        self.depth -= 1;
        ty
    }

    /// Every keyword narrows what the others say.
    fn read_keywords(&mut self, keywords: &'s Map<String, Value>) -> Result<Type, SchemaProblem> {
        let mut ty = self.read_type(keywords)?;
        if let Some(value) = keywords.get("const") {
            ty = meet(ty, Type::of(value));
        }
        if let Some(values) = array(keywords, "enum")? {
            ty = meet(ty, values.iter().map(Type::of).reduce(Type::join).unwrap_or_default());
        }
        if let Some(reference) = keywords.get("$ref") {
            ty = meet(ty, self.follow(reference)?);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(alternatives) = array(keywords, keyword)? {
                ty = meet(ty, self.read_alternatives(alternatives)?);
            }
        }
        for part in array(keywords, "allOf")?.into_iter().flatten() {
            ty = meet(ty, self.read(part)?);
        }
        Ok(ty)
    }

    fn read_alternatives(&mut self, alternatives: &'s [Value]) -> Result<Type, SchemaProblem> {
        let mut joined: Option<Type> = None;
        for alternative in alternatives {
            let ty = self.read(alternative)?;
            joined = Some(match joined {
                Some(so_far) => so_far.join(ty),
                None => ty,
            });
        }
        Ok(joined.unwrap_or_default())
    }

    fn read_type(&mut self, keywords: &'s Map<String, Value>) -> Result<Type, SchemaProblem> {
        match keywords.get("type") {
            None if keywords.contains_key("properties") => self.read_object(keywords),
            None => Ok(Type::Any),
            Some(Value::String(name)) => self.read_named(name, keywords),
            Some(Value::Array(names)) => {
                let mut joined: Option<Type> = None;
                for name in names {
                    let ty = self.read_named(name.as_str().unwrap_or_default(), keywords)?;
                    joined = Some(match joined {
                        Some(so_far) => so_far.join(ty),
                        None => ty,
                    });
                }
                Ok(joined.unwrap_or_default())
            }
            Some(_) => Err(SchemaProblem::Malformed { keyword: "type", expected: "a name or a list of names" }),
        }
    }

    fn read_named(&mut self, name: &str, keywords: &'s Map<String, Value>) -> Result<Type, SchemaProblem> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Int,
            "number" => Type::Double,
            "string" => Type::String,
            "object" => self.read_object(keywords)?,
            // With `prefixItems` the elements differ by position, which a list type cannot say.
            "array" if keywords.contains_key("prefixItems") => Type::list(Type::Any),
            "array" => match keywords.get("items") {
                Some(items) => Type::list(self.read(items)?),
                None => Type::list(Type::Any),
            },
            other => return Err(SchemaProblem::UnknownType(other.to_owned())),
        })
    }

    fn read_object(&mut self, keywords: &'s Map<String, Value>) -> Result<Type, SchemaProblem> {
        let properties = match keywords.get("properties") {
            None => None,
            Some(Value::Object(properties)) => Some(properties),
            Some(_) => return Err(SchemaProblem::Malformed { keyword: "properties", expected: "an object" }),
        };
        let required: Vec<&str> = array(keywords, "required")?.into_iter().flatten().filter_map(Value::as_str).collect();
        let additional = keywords.get("additionalProperties");
        if properties.is_none_or(Map::is_empty)
            && let Some(values @ Value::Object(_)) = additional
        {
            return Ok(Type::map(self.read(values)?));
        }
        let mut fields = BTreeMap::new();
        for (name, property) in properties.into_iter().flatten() {
            let ty = self.read(property)?;
            fields.insert(name.clone(), Field { ty, required: required.contains(&name.as_str()) });
        }
        for name in required {
            fields.entry(name.to_owned()).or_insert_with(|| Field::required(Type::Any));
        }
        Ok(Type::Object { fields, open: additional != Some(&Value::Bool(false)) })
    }

    fn follow(&mut self, reference: &'s Value) -> Result<Type, SchemaProblem> {
        let Some(reference) = reference.as_str() else {
            return Err(SchemaProblem::Malformed { keyword: "$ref", expected: "text" });
        };
        let Some(pointer) = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Err(SchemaProblem::RemoteReference(reference.to_owned()));
        };
        // A type is a finite tree, so a schema inside itself stays unknown there.
        if self.following.iter().any(|seen| seen == reference) {
            return Ok(Type::Any);
        }
        let Some(target) = self.root.pointer(pointer) else {
            return Err(SchemaProblem::MissingReference(reference.to_owned()));
        };
        self.following.push(reference.to_owned());
        let ty = self.read(target);
        self.following.pop();
        ty
    }
}

fn array<'s>(keywords: &'s Map<String, Value>, keyword: &'static str) -> Result<Option<&'s [Value]>, SchemaProblem> {
    match keywords.get(keyword) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(SchemaProblem::Malformed { keyword, expected: "a list" }),
    }
}

/// Returns what is known when both hold. Where they contradict each other no value exists, and either will do.
fn meet(a: Type, b: Type) -> Type {
    match (a, b) {
        (Type::Any, other) | (other, Type::Any) => other,
        (Type::Nullable(a), Type::Nullable(b)) => meet(*a, *b).nullable(),
        (Type::Nullable(_), Type::Null) | (Type::Null, Type::Nullable(_)) => Type::Null,
        (Type::Nullable(a), b) | (b, Type::Nullable(a)) => meet(*a, b),
        (Type::Double, Type::Int) | (Type::Int, Type::Double) => Type::Int,
        (Type::List(a), Type::List(b)) => Type::list(meet(*a, *b)),
        (Type::Object { mut fields, open }, Type::Object { fields: others, open: other_open }) => {
            for (name, other) in others {
                let merged = match fields.remove(&name) {
                    Some(field) => Field { ty: meet(field.ty, other.ty), required: field.required || other.required },
                    None => other,
                };
                fields.insert(name, merged);
            }
            Type::Object { fields, open: open && other_open }
        }
        (a, _) => a,
    }
}

#[cfg(test)]
mod tests;
