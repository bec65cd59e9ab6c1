//! What the tests of this crate share: one environment, values that belong to it, and well-typed sources.

#![expect(clippy::indexing_slicing, reason = "each choice is below the length it chooses from")]

use std::collections::BTreeMap;

use bailiwick_expr::{Env, Field, Type};
use proptest::prelude::*;
use serde_json::{Value, json};

/// An object type with required and optional fields.
fn object(required: &[(&str, Type)], optional: &[(&str, Type)]) -> Type {
    let required = required.iter().map(|(name, ty)| ((*name).to_owned(), Field::required(ty.clone())));
    let optional = optional.iter().map(|(name, ty)| ((*name).to_owned(), Field::optional(ty.clone())));
    Type::Object { fields: required.chain(optional).collect(), open: false }
}

/// The environment of generated sources.
pub fn env() -> Env {
    let item = object(&[("name", Type::String)], &[("price", Type::Double)]);
    let input = object(
        &[
            ("text", Type::String),
            ("int", Type::Int),
            ("double", Type::Double),
            ("flag", Type::Bool),
            ("ints", Type::list(Type::Int)),
            ("doubles", Type::list(Type::Double)),
            ("texts", Type::list(Type::String)),
            ("items", Type::list(item.clone())),
            ("maybe", Type::Int.nullable()),
            ("date", Type::String),
        ],
        &[("absent", Type::Double), ("item", item)],
    );
    Env::new().with("input", input).with("counts", Type::map(Type::Int))
}

/// Whole numbers as JSON may write them.
fn int() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::from), (-5_i64..5).prop_map(Value::from), (-5_i32..5).prop_map(|int| json!(f64::from(int))),]
}

/// Numbers as JSON may write them: `3` is one as well as `3.5`.
fn double() -> impl Strategy<Value = Value> {
    prop_oneof![(-100.0_f64..100.0).prop_map(Value::from), (-5_i64..5).prop_map(Value::from), Just(json!(1e308))]
}

fn text() -> impl Strategy<Value = Value> {
    "[a-zA-Zé€ ]{0,12}".prop_map(Value::from)
}

fn item() -> impl Strategy<Value = Value> {
    (text(), proptest::option::of(double())).prop_map(|(name, price)| match price {
        Some(price) => json!({ "name": name, "price": price }),
        None => json!({ "name": name }),
    })
}

fn several<S: Strategy<Value = Value>>(element: S) -> impl Strategy<Value = Value> {
    proptest::collection::vec(element, 0..5).prop_map(Value::from)
}

/// Values for [`env`].
pub fn variables() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let scalars = (text(), int(), double(), any::<bool>(), proptest::option::of(int()));
    let lists = (several(int()), several(double()), several(text()), several(item()));
    let optional = (proptest::option::of(double()), proptest::option::of(item()));
    let counts = proptest::collection::btree_map("[a-c]", int(), 0..3);
    (scalars, lists, optional, counts).prop_map(|(scalars, lists, optional, counts)| {
        let mut input = json!({
            "text": scalars.0, "int": scalars.1, "double": scalars.2, "flag": scalars.3, "maybe": scalars.4,
            "ints": lists.0, "doubles": lists.1, "texts": lists.2, "items": lists.3, "date": "2026-11-02",
        });
        if let (Some(absent), Some(object)) = (optional.0, input.as_object_mut()) {
            object.insert("absent".into(), absent);
        }
        if let (Some(item), Some(object)) = (optional.1, input.as_object_mut()) {
            object.insert("item".into(), item);
        }
        BTreeMap::from([("input".to_owned(), input), ("counts".to_owned(), json!(counts))])
    })
}

/// What a generated source is wanted to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Bool,
    Int,
    Double,
    Text,
    Ints,
    Doubles,
    Texts,
}

pub const WANTED: [Wanted; 7] = [Wanted::Bool, Wanted::Int, Wanted::Double, Wanted::Text, Wanted::Ints, Wanted::Doubles, Wanted::Texts];

/// Writes well-typed sources; the bytes decide which.
pub struct Writer<'b> {
    choices: std::slice::Iter<'b, u8>,
    bound: usize,
}

impl<'b> Writer<'b> {
    pub fn new(choices: &'b [u8]) -> Self {
        Self { choices: choices.iter(), bound: 0 }
    }

    /// A choice among some, the first one when the bytes run out.
    fn choose(&mut self, among: u8) -> u8 {
        self.choices.next().map_or(0, |byte| byte % among)
    }

    /// Writes a source of the wanted type.
    pub fn write(&mut self, wanted: Wanted, depth: usize) -> String {
        let leaf = depth == 0 || self.choices.len() == 0;
        match wanted {
            Wanted::Bool if leaf => {
                ["input.flag", "true", "false", "has(input.absent)", "has(input.item.price)"][usize::from(self.choose(5))].to_owned()
            }
            Wanted::Bool => self.write_bool(depth - 1),
            Wanted::Int if leaf => {
                ["input.int", "0", "7", "-3", "size(input.text)", "input.ints.size()"][usize::from(self.choose(6))].to_owned()
            }
            Wanted::Int => self.write_int(depth - 1),
            Wanted::Double if leaf => ["input.double", "0.5", "-2.0", "double(input.int)"][usize::from(self.choose(4))].to_owned(),
            Wanted::Double => self.write_double(depth - 1),
            Wanted::Text if leaf => ["input.text", "'a'", "\"é\"", "string(input.int)"][usize::from(self.choose(4))].to_owned(),
            Wanted::Text => self.write_text(depth - 1),
            Wanted::Ints if leaf => ["input.ints", "[1, 2]"][usize::from(self.choose(2))].to_owned(),
            Wanted::Doubles if leaf => ["input.doubles", "[1, 2.5]"][usize::from(self.choose(2))].to_owned(),
            Wanted::Texts if leaf => ["input.texts", "['a', 'b']"][usize::from(self.choose(2))].to_owned(),
            Wanted::Ints => self.write_list(Wanted::Int, Wanted::Ints, depth - 1),
            Wanted::Doubles => self.write_list(Wanted::Double, Wanted::Doubles, depth - 1),
            Wanted::Texts => self.write_list(Wanted::Text, Wanted::Texts, depth - 1),
        }
    }

    fn write_bool(&mut self, depth: usize) -> String {
        let kind = WANTED[usize::from(self.choose(7))];
        match self.choose(11) {
            0 => format!("({} && {})", self.write(Wanted::Bool, depth), self.write(Wanted::Bool, depth)),
            1 => format!("({} || {})", self.write(Wanted::Bool, depth), self.write(Wanted::Bool, depth)),
            2 => format!("!({})", self.write(Wanted::Bool, depth)),
            3 => format!("({} == {})", self.write(kind, depth), self.write(kind, depth)),
            4 => format!("({} < {})", self.write(Wanted::Int, depth), self.write(Wanted::Double, depth)),
            5 => format!("({} in {})", self.write(Wanted::Int, depth), self.write(Wanted::Doubles, depth)),
            6 => format!("{}.contains({})", self.write(Wanted::Text, depth), self.write(Wanted::Text, depth)),
            7 => format!("(input.maybe != null && input.maybe > {})", self.write(Wanted::Int, depth)),
            8 => format!("(input.absent == null || input.absent >= {})", self.write(Wanted::Double, depth)),
            9 => "input.items.exists(i, has(i.price) && i.price > 1.0)".to_owned(),
            _ => {
                let list = self.write(Wanted::Texts, depth);
                let name = self.name();
                format!("{list}.all({name}, size({name}) > {})", self.write(Wanted::Int, depth))
            }
        }
    }

    fn write_int(&mut self, depth: usize) -> String {
        let operator = ["+", "-", "*", "/", "%"][usize::from(self.choose(5))];
        match self.choose(6) {
            0 | 1 => format!("({} {operator} {})", self.write(Wanted::Int, depth), self.write(Wanted::Int, depth)),
            2 => self.write_choice(Wanted::Int, depth),
            3 => format!("{}[{}]", self.write(Wanted::Ints, depth), self.write(Wanted::Int, depth)),
            4 => format!("min({}, {})", self.write(Wanted::Int, depth), self.write(Wanted::Int, depth)),
            _ => "(input.maybe == null ? 0 : input.maybe)".to_owned(),
        }
    }

    fn write_double(&mut self, depth: usize) -> String {
        let operator = ["+", "-", "*", "/"][usize::from(self.choose(4))];
        match self.choose(6) {
            0 | 1 => format!("({} {operator} {})", self.write(Wanted::Double, depth), self.write(Wanted::Double, depth)),
            2 => self.write_choice(Wanted::Double, depth),
            3 => format!("{}[{}]", self.write(Wanted::Doubles, depth), self.write(Wanted::Int, depth)),
            4 => format!("(input.flag ? {} : {})", self.write(Wanted::Double, depth), self.write(Wanted::Int, depth)),
            _ => "(has(input.item.price) ? input.item.price : 0.0)".to_owned(),
        }
    }

    fn write_text(&mut self, depth: usize) -> String {
        match self.choose(4) {
            0 => format!("({} + {})", self.write(Wanted::Text, depth), self.write(Wanted::Text, depth)),
            1 => self.write_choice(Wanted::Text, depth),
            2 => format!("{}.join({})", self.write(Wanted::Texts, depth), self.write(Wanted::Text, depth)),
            _ => "(input.item != null ? input.item.name : '')".to_owned(),
        }
    }

    fn write_list(&mut self, element: Wanted, list: Wanted, depth: usize) -> String {
        match self.choose(4) {
            0 => format!("[{}, {}]", self.write(element, depth), self.write(element, depth)),
            1 => format!("({} + {})", self.write(list, depth), self.write(list, depth)),
            2 => {
                let over = self.write(list, depth);
                let name = self.name();
                format!("{over}.filter({name}, {name} != {})", self.write(element, depth))
            }
            _ => {
                let over = self.write(Wanted::Ints, depth);
                let name = self.name();
                format!("{over}.map({name}, {})", self.write(element, depth))
            }
        }
    }

    fn write_choice(&mut self, wanted: Wanted, depth: usize) -> String {
        let condition = self.write(Wanted::Bool, depth);
        format!("({condition} ? {} : {})", self.write(wanted, depth), self.write(wanted, depth))
    }

    fn name(&mut self) -> String {
        self.bound += 1;
        format!("x{}", self.bound)
    }
}
