//! placeholder
pub fn print_account() {}
