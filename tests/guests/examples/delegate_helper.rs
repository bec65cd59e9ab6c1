//! Is given a part of somebody else's grants: asks for what it was given and for more, or goes on for ever.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Is given a part of somebody else's grants: asks for what it was given and for more, or goes on for ever.
#[agent(name = "delegate-helper", owner = "tests", risk-class = "low", wants = ["crm/customers.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    if task.input.text == "loop" {
        loop {
            std::hint::black_box(task.input.count);
        }
    }
    if task.input.text == "fail" {
        let customer = crm::customers::get(&task.input.id)?;
        return Err(Failure::Permanent(customer.name));
    }
    let mut seen = vec![case(&crm::customers::get("C-2000"))];
    seen.extend((0..task.input.count).map(|_| case(&crm::customers::get(&task.input.id))));
    seen.push(case(&crm::customers::get(&task.input.id)));
    results(seen)
}
