//! Imports every operation there is, is meant for personal data, and calls the one that it is told.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, call_anything, results};

/// Calls the operation that it is told.
#[agent(
    name = "grants-tries-everything",
    owner = "tests",
    data-level = "personal",
    risk-class = "low",
    wants = [
        "billing/accounts.set-return-status",
        "crm/customers.get",
        "crm/notes.append",
        "crm/notes.void",
        "notify/messages.send",
        "orders/orders.get",
        "rules/tables.evaluate",
        "shipping/parcels.create-label",
        "shipping/parcels.void-label",
        "ticketing/tickets.create",
        "ticketing/tickets.cancel"
    ]
)]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    results(vec![call_anything(&task.input.text, &task.input.id)])
}
