//! The compiling child of the tests; a binary of its own, so that nothing but compiled code is written to standard output.

fn main() {
    std::process::exit(bailiwick_runtime::compile::child_main());
}
