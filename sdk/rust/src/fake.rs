//! Fake capabilities, for tests on the author's machine.
//!
//! ```
//! use bailiwick_sdk::prelude::*;
//! use bailiwick_sdk::fake;
//!
//! let fakes = fake::Capabilities::new().on(crm::notes::Append, |args| Ok(format!("note on {}", args.customer))).enter();
//! assert_eq!(crm::notes::append("C-1042", "called"), Ok("note on C-1042".to_owned()));
//! assert!(crm::customers::get("C-1042").is_err_and(|problem| problem.is_denied()));
//! assert_eq!(fakes.calls(crm::notes::Append)[0].text, "called");
//! assert_eq!(fakes.unexpected(), ["crm/customers.get"]);
//! ```
//!
//! The table belongs to the thread that entered it, so tests run beside each other. What the table has no answer for is denied, as in the
//! sandbox, and kept for the test to ask about.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::SystemTime;

use crate::task::Level;
use crate::{Error, Operation};

/// The reference in the `denied` of a call that the table has no answer for.
pub const NO_FAKE: &str = "no-fake";

type AnswerOf<O> = Box<dyn FnMut(&<O as Operation>::Args) -> Result<<O as Operation>::Output, Error>>;

struct Call {
    operation: &'static str,
    args: Box<dyn Any>,
    expected: bool,
}

struct Table {
    answers: HashMap<TypeId, Box<dyn Any>>,
    now: SystemTime,
    calls: Vec<Call>,
    log: Vec<(Level, String)>,
    progress: Vec<String>,
}

thread_local! {
    static ENTERED: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

/// A table of fakes that is being put together.
pub struct Capabilities(Table);

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

impl Capabilities {
    /// Makes an empty table: every call is denied, and it is 1970.
    pub fn new() -> Self {
        Self(Table { answers: HashMap::new(), now: SystemTime::UNIX_EPOCH, calls: Vec::new(), log: Vec::new(), progress: Vec::new() })
    }

    /// Says what an operation answers. A second answer for the same operation takes the place of the first.
    pub fn on<O: Operation>(mut self, operation: O, answer: impl FnMut(&O::Args) -> Result<O::Output, Error> + 'static) -> Self {
        let _ = operation;
        let answer: AnswerOf<O> = Box::new(answer);
        self.0.answers.insert(TypeId::of::<O>(), Box::new(answer));
        self
    }

    /// Sets the time that [`crate::task::now`] gives.
    pub fn at(mut self, now: SystemTime) -> Self {
        self.0.now = now;
        self
    }

    /// Puts the table in force for this thread until the scope is dropped. Tables nest: the last one entered answers.
    #[must_use = "the fakes answer only while the scope lives"]
    pub fn enter(self) -> Scope {
        ENTERED.with_borrow_mut(|entered| {
            entered.push(self.0);
            Scope { depth: entered.len(), thread_bound: PhantomData }
        })
    }
}

/// A table of fakes in force. It says what was called, and ends the table when it is dropped.
pub struct Scope {
    depth: usize,
    // The table lies in a thread local, so a scope that moved to another thread would end someone else's.
    thread_bound: PhantomData<*const ()>,
}

impl Scope {
    /// Gives the arguments of every call of an operation, in order.
    pub fn calls<O: Operation>(&self, operation: O) -> Vec<O::Args> {
        let _ = operation;
        self.read(|table| {
            let calls = table.calls.iter().filter(|call| call.operation == O::NAME);
            calls.filter_map(|call| call.args.downcast_ref::<O::Args>().cloned()).collect()
        })
    }

    /// Gives the names of all calls, in order, denied ones included.
    pub fn order(&self) -> Vec<&'static str> {
        self.read(|table| table.calls.iter().map(|call| call.operation).collect())
    }

    /// Gives the names of the calls that the table had no answer for.
    pub fn unexpected(&self) -> Vec<&'static str> {
        self.read(|table| table.calls.iter().filter(|call| !call.expected).map(|call| call.operation).collect())
    }

    /// Gives the lines of the task's log.
    pub fn log(&self) -> Vec<(Level, String)> {
        self.read(|table| table.log.clone())
    }

    /// Gives what the task reported as progress.
    pub fn progress(&self) -> Vec<String> {
        self.read(|table| table.progress.clone())
    }

    fn read<T: Default>(&self, f: impl FnOnce(&Table) -> T) -> T {
        ENTERED.with_borrow(|entered| entered.get(self.depth.wrapping_sub(1)).map(f).unwrap_or_default())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Scopes may be dropped in any order; what was entered within this one ends with it. While the thread itself ends, the
        // thread local may be gone already.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().truncate(self.depth.saturating_sub(1)));
    }
}

fn with_table<T>(f: impl FnOnce(&mut Table) -> T) -> Option<T> {
    ENTERED.with_borrow_mut(|entered| entered.last_mut().map(f))
}

pub(crate) fn call<O: Operation>(args: O::Args) -> Result<O::Output, Error> {
    // The answer is taken out while it runs, so that it may itself call capabilities.
    let answer = with_table(|table| table.answers.remove(&TypeId::of::<O>())).flatten();
    with_table(|table| table.calls.push(Call { operation: O::NAME, args: Box::new(args.clone()), expected: answer.is_some() }));
    let Some(Ok(mut answer)) = answer.map(<Box<dyn Any>>::downcast::<AnswerOf<O>>) else {
        return Err(Error::Denied(NO_FAKE.to_owned()));
    };
    let result = answer(&args);
    with_table(|table| table.answers.insert(TypeId::of::<O>(), answer));
    result
}

pub(crate) fn progress(message: &str) {
    with_table(|table| table.progress.push(message.to_owned()));
}

pub(crate) fn log(level: Level, message: &str) {
    with_table(|table| table.log.push((level, message.to_owned())));
}

pub(crate) fn now() -> SystemTime {
    with_table(|table| table.now).unwrap_or(SystemTime::UNIX_EPOCH)
}
