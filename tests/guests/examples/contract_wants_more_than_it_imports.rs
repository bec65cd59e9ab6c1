//! Says that it wants an operation that it never calls, to be trusted with it later.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(|| raw::description("contract-wants-more-than-it-imports", &["crm/customers.get"]), |_| raw::answer("{}"));
