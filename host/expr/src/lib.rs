//! The expressions of workflows: CEL with types and bounds.
//!
//! An expression is written in [CEL](https://cel.dev), parsed by the `cel` crate, checked here against the types of
//! its variables (which come from JSON Schemas), and evaluated here with every step, element and byte counted. Values
//! are JSON throughout.
//!
//! # Where this differs from CEL
//! - **Absent and null are one thing.** Selecting a field that its schema calls optional gives null when it is absent.
//!   `has(a.b.c)` asks whether the field is there *and not null*, and never fails on the way. A field that is required
//!   and missing, or that no schema declares, is an error.
//! - **Null must be guarded.** A value that may be null cannot be selected from, calculated with, compared by order or
//!   given to a function, unless what stands before it rules null out: `x != null && x.y`,
//!   `x == null || x.y`, `x != null ? x.y : z`, `has(x.y) && x.y > 1`, `x == "a" && …`. `==`, `!=` and `in` take null.
//! - **`&&` and `||` stop early, from left to right.** An error on the left is an error; CEL would also look right.
//! - **Numbers.** JSON numbers without a fraction are signed 64-bit integers, others are doubles; where a schema says
//!   `number` or `integer`, that decides. Arithmetic does not mix the two (`double(x)` converts); comparison and
//!   equality do, exactly. A result that is not finite is an error, and so is division by zero of either kind.
//!   Unsigned integers and bytes do not exist.
//! - **Patterns** of `matches` are written out, compiled once, and linear in time.
//!
//! # Functions
//! Macros: `has`, `all`, `exists`, `exists_one`, `filter`, `map` (also with a filter as second argument). Functions:
//! `size`, `contains`, `startsWith`, `endsWith`, `matches`, `lowerAscii`, `upperAscii`, `trim`, `join`, `string`,
//! `int`, `double`, `duration`, `timestamp`, and three of our own: `min(a, b, …)` and `max(a, b, …)` of numbers, and
//! `daysBetween(from, to)`, which counts calendar days between two dates (`"2026-11-02"`); an RFC 3339 timestamp stands
//! for the date as it is written in it, in its own offset. It is negative where the second date is earlier.
//!
//! # Example
//! ```
//! use bailiwick_expr::{Bounds, Env, Program, Type};
//! use serde_json::json;
//!
//! let order = Type::from_schema(&json!({
//!     "type": "object",
//!     "properties": { "delivered": { "type": "string" }, "total": { "type": "number" } },
//!     "required": ["delivered"],
//! }))?;
//! let env = Env::new().with("order", order).with("today", Type::String);
//! let source = r#"daysBetween(order.delivered, today) <= 30 && has(order.total) && order.total < 100.0"#;
//! let program = Program::compile(source, &env, &Bounds::default())?;
//! assert_eq!(*program.ty(), Type::Bool);
//!
//! let variables = std::collections::BTreeMap::from([
//!     ("order".to_owned(), json!({ "delivered": "2026-11-02", "total": 89 })),
//!     ("today".to_owned(), json!("2026-11-21")),
//! ]);
//! assert_eq!(program.eval(&variables)?, json!(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounds;
mod check;
mod error;
mod eval;
mod node;
mod number;
mod program;
mod scan;
mod suggest;
mod syntax;
mod template;
mod time;
mod types;

pub use bounds::Bounds;
pub use error::{At, CompileError, EvalError, EvalFault};
pub use eval::Variables;
pub use program::{Mention, Program};
pub use template::Template;
pub use types::{Env, Field, Mismatch, SchemaProblem, Type};
