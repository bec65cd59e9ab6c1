//! Checking values against the schemas of agents without holding anybody up.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_schema::Schema;
use serde_json::Value;
use tokio::sync::Semaphore;

/// Costly checks at the same time. Further ones wait, and nobody but they.
const COSTLY_MOST: usize = 2;

/// A check was not over at its deadline.
#[derive(Debug)]
pub(crate) struct OutOfTime;

/// Does checks: cheap ones at once, costly ones on threads of their own, since nothing interrupts a check.
pub(crate) struct Checks {
    costly: Arc<Semaphore>,
}

impl Default for Checks {
    fn default() -> Self {
        Self { costly: Arc::new(Semaphore::new(COSTLY_MOST)) }
    }
}

impl Checks {
    /// Checks a value; gives what is wrong with it.
    ///
    /// # Errors
    /// When it takes longer than the task has.
    pub(crate) async fn check(&self, schema: &Arc<Schema>, value: &Arc<Value>, deadline: Instant) -> Result<Result<(), String>, OutOfTime> {
        if !schema.is_costly(value) {
            return Ok(schema.check(value));
        }
        let (schema, value) = (Arc::clone(schema), Arc::clone(value));
        let costly = Arc::clone(&self.costly);
        let checked = async move {
            let Ok(place) = costly.acquire_owned().await else { return Err("the host is stopping".to_owned()) };
            let done = tokio::task::spawn_blocking(move || {
                // Held until the work is over, also when nobody waits for it any more.
                let _place = place;
                schema.check(&value)
            });
            done.await.unwrap_or_else(|error| Err(format!("checking it failed: {error}")))
        };
        tokio::time::timeout_at(deadline.into(), checked).await.map_err(|_| OutOfTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use serde_json::json;

    fn costly() -> (Arc<Schema>, Arc<Value>) {
        let schema = Schema::of_agent(&json!({"type": "string", "pattern": "(x|y)*x(x|y){300}q"})).unwrap();
        (Arc::new(schema), Arc::new(json!("x".repeat(100_000))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_costly_check_waits_for_its_place_until_its_deadline() {
        let (schema, value) = costly();
        let checks = Checks::default();
        let others = Arc::clone(&checks.costly).acquire_many_owned(COSTLY_MOST as u32).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(1);
        assert!(matches!(checks.check(&schema, &value, deadline).await, Err(OutOfTime)));
        drop(others);
        assert!(checks.check(&schema, &value, deadline + Duration::from_secs(60)).await.is_ok());
        assert_eq!(checks.costly.available_permits(), COSTLY_MOST);
    }
}
