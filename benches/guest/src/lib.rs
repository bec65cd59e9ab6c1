//! The agent that the benchmarks run.
#![forbid(unsafe_code)]

use bailiwick_sdk::prelude::*;

/// What to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// How many calls to make.
    pub calls: u32,
    /// Whether to spin for ever instead.
    #[serde(default)]
    pub spin: bool,
    /// Text of about the size of a real input.
    #[serde(default)]
    pub padding: String,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// Language of the customer, as the last call gave it.
    pub language: String,
    /// Length of the padding.
    pub padding: usize,
}

/// Calls as often as its input says.
#[agent(owner = "bench@bailiwick.example", data-level = "internal", risk-class = "low", wants = ["crm/customers.get"])]
pub fn bench_guest(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    if task.input.spin {
        loop {
            std::hint::black_box(&task.input.padding);
        }
    }
    let mut language = String::new();
    for _ in 0..task.input.calls {
        language = crm::customers::get("C-1")?.language;
    }
    Ok(Answer::certain(Output { language, padding: task.input.padding.len() }))
}
