//! Passes work on: fairly, beyond what it holds, and without waiting for it.

use bailiwick_sdk::delegate::tasks::{self, Fixed, Outcome, Part, Value};
use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case};

const READ: &str = "crm/customers.get";
const HELPER: &str = "delegate-helper";

fn part(operation: &str, fixed: &[(&str, &str)], calls: u32) -> Part {
    let fixed = fixed.iter().map(|(path, value)| Fixed { path: (*path).to_owned(), value: Value::Text((*value).to_owned()) });
    Part { operation: operation.to_owned(), fixed: fixed.collect(), calls }
}

fn start(agent: &str, text: &str, parts: &[Part]) -> Result<String, bailiwick_sdk::CallProblem> {
    tasks::start(agent, &format!("{{\"id\":\"C-1042\",\"text\":\"{text}\",\"count\":2}}"), parts, None, None)
}

/// Passes work on: fairly, beyond what it holds, and without waiting for it.
#[agent(
    name = "delegate-lead",
    owner = "tests",
    risk-class = "low",
    wants = ["crm/customers.get", "delegate/tasks.start", "delegate/tasks.await", "delegate/tasks.cancel"]
)]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let own = task.input.id.as_str();
    let mut report = Report::default();
    match task.input.text.as_str() {
        "more" => {
            let asked = [
                (HELPER, part(READ, &[("id", "C-2000")], 1)),
                (HELPER, part(READ, &[], 1_000)),
                (HELPER, part("crm/notes.append", &[], 1)),
                (HELPER, part(READ, &[("name", "x")], 1)),
                ("delegate-lead", part(READ, &[], 1)),
                ("nobody", part(READ, &[], 1)),
                ("grants-another-customer", part(READ, &[], 1)),
                (HELPER, part(&"x".repeat(100_000), &[], 1)),
                (HELPER, part(READ, &[("id", "C-1042"); 51], 1)),
            ];
            report.results = asked.iter().map(|(agent, part)| case(&start(agent, "ask", std::slice::from_ref(part)))).collect();
            report.results.push(case(&tasks::await_("a-task-of-somebody-else")));
        }
        "fails" => {
            let id = start(HELPER, "fail", &[part(READ, &[], 1)])?;
            report.text = format!("{:?}", tasks::await_(&id)?);
        }
        "leave" => {
            report.results.push(case(&start(HELPER, "loop", &[])));
        }
        "cancel" => {
            let id = start(HELPER, "loop", &[])?;
            report.results = vec![case(&tasks::cancel(&id)), case(&tasks::await_(&id))];
        }
        "flood" => {
            let many = (0..task.input.count).map(|_| start(HELPER, "loop", &[]));
            report.count = many.filter(Result::is_ok).count() as u64;
        }
        text => {
            let id = start(HELPER, text, &[part(READ, &[("id", own)], 2)])?;
            report.text = match tasks::await_(&id)? {
                Outcome::Answered(answer) => answer.output,
                Outcome::Ended(word) => word,
                other => format!("{other:?}"),
            };
            report.results = vec![case(&crm::customers::get(own)), case(&tasks::await_(&id))];
        }
    }
    Ok(Answer::certain(report))
}
