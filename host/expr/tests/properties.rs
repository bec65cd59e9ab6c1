//! What must hold for every source and every input.

mod support;

use bailiwick_expr::{Bounds, EvalFault, Program, Template, Type};
use proptest::prelude::*;
use support::{WANTED, Writer, env, variables};

/// Bounds that generated sources stay within at compile time.
fn generous() -> Bounds {
    let mut bounds = Bounds::default();
    bounds.max_nesting = 64;
    bounds.max_source_bytes = 1 << 20;
    bounds.max_comprehension_nesting = 16;
    bounds
}

/// Pieces that garbage is made of: tokens find more than characters do.
fn garbage() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "input",
        "input.int",
        ".",
        "?",
        ":",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "+",
        "-",
        "!",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "in",
        "1",
        "0x1F",
        "1.5",
        "9223372036854775808",
        "1u",
        "'x'",
        "\"",
        "r'\\'",
        "b'x'",
        "null",
        "true",
        "has(input.absent)",
        ".map(x, ",
        ".all(x, x)",
        "size(",
        "matches('a+')",
        "//",
        "\n",
        " ",
        "\\",
        "é",
        "`",
        "@",
        "$",
        "var",
        "_",
        "'''",
        "-1",
    ];
    let piece =
        prop_oneof![4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// No source makes compiling panic, and every error points into it.
    #[test]
    fn garbage_is_refused_or_runs(source in garbage(), values in variables()) {
        match Program::compile(&source, &env(), &Bounds::default()) {
            Ok(program) => {
                if let Err(error) = program.eval(&values) {
                    prop_assert!(source.get(error.range.clone()).is_some(), "{:?}", error.range);
                }
            }
            Err(error) => {
                prop_assert!(source.get(error.range.clone()).is_some(), "{:?}", error);
                prop_assert!(!error.message.ends_with('.') && !error.message.is_empty(), "{}", error.message);
                prop_assert!(error.message != "the expression cannot be parsed", "{}", source);
            }
        }
        let _ = Template::parse(&format!("${{{source}}}"), &env(), &Bounds::default());
        let _ = Template::parse(&source, &env(), &Bounds::default());
    }

    /// What compiles without anything unknown never meets a wrong type, and its result belongs to its type.
    #[test]
    fn types_are_sound(choices in proptest::collection::vec(any::<u8>(), 1..80), which in 0..WANTED.len(), values in variables()) {
        let source = Writer::new(&choices).write(WANTED[which], 5);
        let program = match Program::compile(&source, &env(), &generous()) {
            Ok(program) => program,
            Err(error) => return Err(TestCaseError::fail(format!("{source}: {error} {:?}", error.help))),
        };
        match program.eval(&values) {
            Ok(value) => prop_assert!(program.ty().admits(&value), "{source}: {value} is no {}", program.ty()),
            Err(error) => {
                let wrong = matches!(
                    error.fault,
                    EvalFault::WrongType { .. } | EvalFault::MissingKey { .. } | EvalFault::MissingVariable { .. }
                );
                prop_assert!(!wrong, "{source}: {error} at {:?}", source.get(error.range.clone()));
            }
        }
    }

    /// However small a bound is, evaluation stays below it or says that it does not.
    #[test]
    fn bounds_hold(
        choices in proptest::collection::vec(any::<u8>(), 1..80),
        which in 0..WANTED.len(),
        values in variables(),
        steps in 0_u64..200,
        bytes in 0_u64..2000,
    ) {
        let source = Writer::new(&choices).write(WANTED[which], 5);
        let mut bounds = generous();
        bounds.max_steps = steps;
        bounds.max_result_bytes = bytes;
        let program = Program::compile(&source, &env(), &bounds);
        let program = program.map_err(|error| TestCaseError::fail(format!("{source}: {error}")))?;
        match program.eval(&values) {
            Ok(value) => prop_assert!(value.to_string().len() as u64 <= 32 * (bytes + 1)),
            Err(error) => match error.fault {
                EvalFault::TooManySteps { max } => prop_assert_eq!(max, steps),
                EvalFault::TooManyBytes { max } => prop_assert_eq!(max, bytes),
                _ => {}
            },
        }
    }

    /// The same source and values give the same result.
    #[test]
    fn evaluation_is_deterministic(choices in proptest::collection::vec(any::<u8>(), 1..60), values in variables()) {
        let source = Writer::new(&choices).write(WANTED[0], 4);
        let compile = || Program::compile(&source, &env(), &generous()).map_err(|error| TestCaseError::fail(error.to_string()));
        prop_assert_eq!(compile()?.eval(&values), compile()?.eval(&values));
    }

    /// A joined type accepts both sides.
    #[test]
    fn a_join_accepts_both(a in types(), b in types()) {
        let joined = a.clone().join(b.clone());
        prop_assert!(joined.accepts(&a), "{joined:?} / {a:?}");
        prop_assert!(joined.accepts(&b), "{joined:?} / {b:?}");
    }
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = proptest::sample::select(vec![Type::Null, Type::Bool, Type::Int, Type::Double, Type::String, Type::Any]);
    leaf.prop_recursive(3, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::map),
            inner.clone().prop_map(Type::nullable),
            proptest::collection::btree_map("[a-c]", inner, 0..3).prop_map(Type::object),
        ]
    })
}
