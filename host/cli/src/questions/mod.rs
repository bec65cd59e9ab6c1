//! Answers about history: what the ledger says, joined with the texts of policies and the project's plan.

mod accesses;
mod advise;
mod answer;
mod builtin;
mod differ;
mod history;
mod known;
mod paste;
mod print;
mod rules;
mod settled;
#[cfg(test)]
mod tests;
mod why;

pub use accesses::print_accesses;
pub use advise::{advise, print_advice, wants};
pub use history::History;
pub use known::Known;
pub use print::print_answer;
pub use rules::Rules;
pub use why::{WhyProblem, explain};
