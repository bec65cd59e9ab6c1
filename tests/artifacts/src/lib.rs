//! Where the guests of the tests and the product agents are, built.
//!
//! One constant for each, and for each suite a macro `assert_every_<suite>!` that does not compile in a module that lacks the test of a guest.

#[path = "../build/component.rs"]
pub mod component;

/// A component that was built with this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// File name without ending of a guest, package name of an agent.
    pub name: &'static str,
    /// Where the component is.
    pub path: &'static str,
}

impl Artifact {
    /// Reads the component.
    ///
    /// # Errors
    /// When the file is gone: cargo builds it again after `cargo clean -p bailiwick-test-artifacts`.
    pub fn bytes(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.path)
    }

    /// Gives the name that the guest has as an agent.
    pub fn agent(&self) -> String {
        self.name.replace('_', "-")
    }
}

include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));
