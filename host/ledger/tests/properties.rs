//! Any sequence of drafts reads back equal, in order, whatever was waited for and however often the ledger was reopened.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

#[expect(dead_code, reason = "shared by several test files, each of which uses some of it")]
mod common;
#[path = "../src/testing.rs"]
mod testing;

use bailiwick_core::Recorder;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{Draft, FORMAT};
use bailiwick_ledger::{Filter, Reader, verify};
use proptest::prelude::*;
use serde_json::{Map, Value};

use common::{block_on, open_patient};

#[derive(Debug, Clone, Copy)]
enum After {
    Nothing,
    Durable,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<(Draft, After)>> {
    let after = prop_oneof![6 => Just(After::Nothing), 2 => Just(After::Durable), 1 => Just(After::Reopen)];
    prop::collection::vec((testing::draft(), after), 0..20)
}

fn payload_of(draft: &Draft) -> Option<Value> {
    let parts = &draft.payload.as_ref()?.parts;
    Some(Value::Object(
        parts.iter().map(|(name, value)| ((*name).to_owned(), value.to_value().unwrap().into_owned())).collect::<Map<_, _>>(),
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_appended_reads_back(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open_patient(folder.path());
        for (n, (draft, after)) in steps.iter().enumerate() {
            let seq = ledger.append(draft.clone()).unwrap();
            prop_assert_eq!(seq, Seq(n as u64));
            match after {
                After::Nothing => {}
                After::Durable => block_on(ledger.durable(seq)).unwrap(),
                After::Reopen => {
                    ledger.close().unwrap();
                    ledger = open_patient(folder.path());
                }
            }
        }
        ledger.close().unwrap();

        let reader = Reader::open(folder.path()).unwrap();
        let found: Vec<_> = reader.records(Filter::All, Seq(0)).map(Result::unwrap).collect();
        prop_assert_eq!(found.len(), steps.len());
        for (n, (found, (draft, _))) in found.iter().zip(&steps).enumerate() {
            prop_assert_eq!((found.format, found.seq, found.kind), (FORMAT, Seq(n as u64), draft.kind));
            prop_assert_eq!(&found.context, &*draft.context);
            prop_assert_eq!(&found.fields, &draft.fields);
            prop_assert_eq!(found.commitment.is_some(), draft.payload.is_some());
            prop_assert_eq!(reader.payload(found).unwrap(), payload_of(draft));
        }
        for run in ["run-a", "run-b"].map(Into::into) {
            let expected: Vec<_> = found.iter().filter(|record| record.context.run.as_ref() == Some(&run)).cloned().collect();
            let by_run: Vec<_> = reader.records(Filter::Run(&run), Seq(0)).map(Result::unwrap).collect();
            prop_assert_eq!(by_run, expected);
        }
        // Random outcomes may refer to no intent; nothing else may be wrong.
        let report = verify(folder.path()).unwrap();
        prop_assert!(report.first_bad.as_ref().is_none_or(|bad| bad.flaw == bailiwick_ledger::Flaw::Intent), "{}", report);
        prop_assert_eq!(reader.head().unwrap().size, steps.len() as u64);
    }
}
