//! `bailiwick run`.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::event::{Event, FailureClass, Outcome};
use bailiwick_core::ids::{RunId, StepPath};
use bailiwick_core::policy::{PolicyEngine, Requester};
use bailiwick_core::runner::Answer;
use bailiwick_ledger::AnchorState;
use bailiwick_orchestrator::{CheckedWorkflow, Observer, Options, Orchestrator, RunReport, RunRequest};
use bailiwick_runtime::Watcher;
use serde_json::{Value, json};

use crate::args::RunArgs;
use crate::display::{self, Notes, Progress};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::project::{Project, read_named};
use crate::stop::Stop;
use crate::wire::{self, Host, HostParts};
use crate::{control, text, workflow};

/// Runs a project's workflow.
pub fn run(args: &RunArgs) -> Result<Exit> {
    let project = Project::load(&args.project, args.state.as_deref())?;
    let source = input(args, &project)?;
    let input = super::parse_json(&source)?;
    let requester = super::requester(&project, &project.state, &args.claim)?;
    let notes = Notes::new(args.quiet);
    let stop = Stop::listen(&notes)?;
    let built = if project.development { wire::build_sources(&project, &notes)? } else { Default::default() };
    let (done, anchors) = wire::io_runtime()?.block_on(async {
        let host = Host::open(
            HostParts { project: &project, state: &project.state, registry: None, is_rehearsal: false, anchors: args.anchor.clone() },
            &notes,
        )
        .await?;
        let listening = control::listen(Arc::clone(&host.governance), &project.state)?;
        let done = async {
            host.install(&project, &built, &notes).await?;
            let runner = host.runner(&project);
            let loaded = workflow::load(&project, runner.as_ref(), &host.served).map_err(Fault::bad_project)?;
            let (workflow, warnings) = loaded;
            display::diagnoses(&warnings);
            execute(&host, &project, workflow, input, requester, Person { notes: &notes, stop: &stop }).await
        }
        .await;
        drop(listening);
        let anchors = host.close().await?;
        Ok::<_, Fault>((done, anchors))
    })?;
    warn(&anchors);
    conclude(args, &project, &source, &done?, &anchors)
}

/// Says which places have not got the last checkpoint: whoever looks for proof there later must know now.
fn warn(anchors: &[AnchorState]) {
    let warnings: Vec<_> = anchors
        .iter()
        .filter_map(|anchor| {
            let problem = anchor.problem.as_ref()?;
            let message = format!("warning: the last records are not anchored in `{}`: {problem}", anchor.place);
            Some(Diagnosis::new(message).with_help("mend the place, then `bailiwick ledger anchor --to FILE`".to_owned()))
        })
        .collect();
    display::diagnoses(&warnings);
}

/// A run that is well and not anchored where it was to be is not done.
fn with_anchors(exit: Exit, anchors: &[AnchorState]) -> Exit {
    if exit == Exit::Done && anchors.iter().any(|anchor| anchor.problem.is_some()) { Exit::Internal } else { exit }
}

/// Reads the input: the file of the command line, or the project's.
fn input(args: &RunArgs, project: &Project) -> Result<Source> {
    match (&args.input, &project.input) {
        (Some(path), _) => read_named(path),
        (None, Some(path)) => project.read(path).map_err(Fault::bad_input),
        (None, None) => {
            let diagnosis = Diagnosis::new("there is no input");
            Err(Fault::bad_input(
                diagnosis.with_help("pass `--input FILE`, or name a default: `input = \"FILE\"` in `[project]`".to_owned()),
            ))
        }
    }
}

/// The person at the keyboard: where progress is shown, and what asks the run to stop.
struct Person<'a> {
    notes: &'a Notes,
    stop: &'a Stop,
}

async fn execute(
    host: &Host,
    project: &Project,
    workflow: CheckedWorkflow,
    input: Value,
    requester: Requester,
    person: Person<'_>,
) -> Result<RunReport> {
    let orchestrator = Orchestrator::new(
        host.runner(project),
        host.recorder(),
        Arc::clone(&host.governance.policy) as Arc<dyn PolicyEngine>,
        Options::default(),
    );
    let watch = Watch::start(person.notes, &workflow);
    host.sandbox.watch(watch.messages());
    let request =
        RunRequest { workflow: Arc::new(workflow), input, requester: Arc::new(requester), run_id: RunId::fresh(), limits: project.limits };
    let run_id = request.run_id.clone();
    let observer: Arc<dyn Observer> = watch.observer();
    let asked = person.stop.wait();
    let report = tokio::select! {
        report = orchestrator.run(request, observer) => Ok(report),
        // Dropping the run ends its tasks; what they did is on record when the host is closed.
        () = asked => Err(super::stopped(&run_id, &project.state)),
    };
    watch.finish(report.is_err());
    report
}

/// How often messages of agents are looked at.
const TICK: Duration = Duration::from_millis(100);

/// The last message of each step's agent: as many as there are steps, however much agents say.
type Messages = Arc<Mutex<BTreeMap<StepPath, String>>>;

/// Shows events on a thread of its own, so that a slow terminal holds no run up.
struct Watch {
    sender: Sender<Event>,
    messages: Messages,
    thread: Option<std::thread::JoinHandle<Progress>>,
}

/// Hands events on. A run has a bounded number of them, so the channel needs no bound of its own.
struct Forward(Mutex<Sender<Event>>);

impl Observer for Forward {
    fn happened(&self, _: Duration, event: &Event) {
        // Answers can be large and are not shown.
        let event = match event {
            Event::StepAnswered { step, attempt, answer } => {
                let answer = Answer {
                    output: Arc::default(),
                    confidence: answer.confidence,
                    claimed_sources: Vec::new(),
                    sources: Vec::new(),
                    labels: Default::default(),
                };
                Event::StepAnswered { step: step.clone(), attempt: *attempt, answer }
            }
            other => other.clone(),
        };
        // Nobody watches any more: nothing is lost but the display.
        let _ = lock(&self.0).send(event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    fn start(notes: &Notes, workflow: &CheckedWorkflow) -> Self {
        let (sender, receiver) = channel::<Event>();
        let messages = Messages::default();
        let latest = Arc::clone(&messages);
        let mut progress = Progress::new(notes, workflow.plan(), workflow.order());
        let show = move || {
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(event) => progress.show(&event),
                    Err(RecvTimeoutError::Timeout) => {
                        std::mem::take(&mut *lock(&latest)).iter().for_each(|(step, message)| progress.hear(step, message))
                    }
                    Err(RecvTimeoutError::Disconnected) => return progress,
                }
            }
        };
        // Without a thread there is no display; the run goes on.
        Self { sender, messages, thread: std::thread::Builder::new().name("display".to_owned()).spawn(show).ok() }
    }

    fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Forward(Mutex::new(self.sender.clone())))
    }

    /// Gives what keeps the last message of each step.
    fn messages(&self) -> Watcher {
        let messages = Arc::clone(&self.messages);
        Arc::new(move |_, step, message| {
            lock(&messages).insert(step.clone(), message.to_owned());
        })
    }

    /// Waits until the last event is shown. The run's own sender is gone when its future is.
    fn finish(self, is_stopped: bool) {
        drop(self.sender);
        // A panic of the display is no failure of the run.
        if let Some(Ok(progress)) = self.thread.map(std::thread::JoinHandle::join) {
            progress.finish(is_stopped);
        }
    }
}

/// Gives the exit code of an outcome.
fn exit_of(report: &RunReport) -> Exit {
    match &report.outcome {
        Outcome::Done => Exit::Done,
        Outcome::Partial => Exit::Partial,
        Outcome::Failed { class, .. } => match class {
            FailureClass::Internal => Exit::Internal,
            FailureClass::Input
            | FailureClass::Planning
            | FailureClass::Expression
            | FailureClass::AgentFault
            | FailureClass::Upstream
            | FailureClass::Limit
            | FailureClass::Denied
            | FailureClass::NeedsHuman
            | FailureClass::Ledger => Exit::Failed,
        },
    }
}

/// Prints the result and the account.
fn conclude(args: &RunArgs, project: &Project, source: &Source, report: &RunReport, anchors: &[AnchorState]) -> Result<Exit> {
    // Refused before anything began: the input is at fault, not the run.
    if let (Outcome::Failed { class: FailureClass::Input, message }, true) = (&report.outcome, report.steps.is_empty()) {
        return Err(Fault::bad_input(Diagnosis::new(message.clone()).in_file(source)));
    }
    let exit = with_anchors(exit_of(report), anchors);
    if args.json {
        let mut document = document(exit, report);
        if let (Some(document), false) = (document.as_object_mut(), anchors.is_empty()) {
            let places = anchors.iter().map(|anchor| json!({ "place": anchor.place, "records": anchor.size, "problem": anchor.problem }));
            document.insert("anchors".to_owned(), places.collect());
        }
        display::print_json(&document);
        return Ok(exit);
    }
    display::print_result(report);
    if !args.quiet {
        display::print_account(report);
        let place = match &args.state {
            Some(state) => format!("--state {}", text::path(state)),
            None => format!("--project {}", text::path(&project.root)),
        };
        display::print(&format!("\nrun {}", report.run));
        display::print(&format!("its records: bailiwick ledger show --run {} {place}", report.run));
    }
    Ok(exit)
}

/// The document of `--json`: how it ended, the result, and the account without the result.
fn document(exit: Exit, report: &RunReport) -> Value {
    let mut account = json!(report);
    let result = account.as_object_mut().and_then(|account| account.remove("output"));
    json!({ "exit": exit.name(), "run": report.run, "result": result, "account": account })
}
