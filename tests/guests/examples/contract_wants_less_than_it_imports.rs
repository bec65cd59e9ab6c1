//! Says that it wants nothing, and calls a capability.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(|| raw::description("contract-wants-less-than-it-imports", &[]), |task| raw::answer(format!(
    "{}",
    bailiwick_sdk::crm::customers::get(&task.id).is_ok()
)));
