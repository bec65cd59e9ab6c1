//! The rules that are no policies: those of grants, budgets, freezes and of the host.

/// Says what a rule of the host means; `None` for what is no such rule.
pub fn meaning(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "no-grant" => "an operation that the step does not grant is denied; nothing is looked up for it",
        "grant-conditions" => {
            "a call passes when each argument satisfies what the grant says of it; an argument that the grant does not mention is refused"
        }
        "budget" => "a grant's calls and bytes hold for the step over all its attempts",
        "owner" => {
            "an answer that belongs to somebody else than the grant's owner is withheld; the agent is told `not-found`, as if there were none"
        }
        "delegation-agent" => "work is delegated to agents of the project alone",
        "delegation-circle" => "work is never delegated to the agent that has it, or to one above it",
        "delegation-tier" => "work is delegated from one tier to the one below; `tier` in `[agents]` of the project says which",
        "delegation-depth" => "a line of delegated tasks has a bound",
        "delegation-count" => "the tasks that one task starts, and those below a step, have bounds",
        "delegation-parts" => {
            "a delegated task holds parts of grants that the task above it holds and that the step marks as delegable, and nothing more"
        }
        "freeze" => "a freeze stops the host, a tenant, an agent or a capability, whatever the policies say, until it is lifted",
        "undo" => "the host may undo a write: the step does not give the undo to the agent, so the rules for agents are not asked",
        "no-task" => "no capability answers outside of a task",
        "step-gives" => "what the step gives is permitted: no policy was in force",
        _ => return None,
    })
}
