//! What a person sees of a run on a terminal.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test stops at its first surprise")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::mailing::Mailing;
use support::programs::Programs;
use support::terminal::{SPINNER, Terminal};
use support::{Project, bailiwick};

const WORKFLOW: &str = r#"workflow: one
version: "1.0.0"
input:
  schema:
    type: object
    required: [customer]
    additionalProperties: false
    properties: { customer: { type: string }, order: { type: string }, note: { type: string } }
subject: "${ input.customer }"
steps:
  mail:
    agent: customer-mail
    with: { customer: "${ subject }", order: "${ input.order != null ? input.order : 'O-1' }", decision: accepted, reason: eligible }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
      - call: notify/messages.send
        where: { customer: "${ subject }", channel: email, subject: any, body: any }
  later:
    after: [mail]
    agent: customer-mail
    with: { customer: "${ subject }", order: O-2, decision: accepted, reason: eligible }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
      - call: notify/messages.send
        where: { customer: "${ subject }", channel: email, subject: any, body: any }
  never:
    when: "input.customer == 'nobody'"
    agent: customer-mail
    with: { customer: "${ subject }", order: O-3, decision: accepted, reason: eligible }
output: { subject: "${ mail.subject }", note: "${ input.note }" }
"#;

/// The row of a step, of which there is one.
fn row<'a>(rows: &'a [String], step: &str) -> &'a str {
    let found: Vec<&String> = rows.iter().filter(|row| row.split(' ').next() == Some(step)).collect();
    let [row] = found.as_slice() else { panic!("`{step}` has {} rows: {rows:#?}", found.len()) };
    row
}

fn has(rows: &[String], part: &str) -> bool {
    rows.iter().any(|row| row.contains(part))
}

/// What the display says of the three steps while the first hangs.
fn assert_hangs(rows: &[String], columns: usize) {
    assert!(rows.iter().all(|row| row.chars().count() <= columns), "{rows:#?}");
    assert!(row(rows, "mail").contains(SPINNER), "{rows:#?}");
    assert_eq!(row(rows, "later"), "later  waits for mail");
    let skipped = row(rows, "never");
    assert!(skipped.starts_with("never  skipped: ") && !skipped.contains(SPINNER), "{rows:#?}");
    // In the order in which they come.
    let places: Vec<usize> = ["mail", "later", "never"].map(|step| rows.iter().position(|row| row.starts_with(step)).unwrap()).to_vec();
    assert_eq!((places[1] > places[0], rows.len()), (true, places.iter().max().unwrap() + 1), "{rows:#?}");
}

#[test]
fn steps_wait_run_are_skipped_and_fail_before_ones_eyes() {
    let mailing = Mailing::new(WORKFLOW);
    for columns in [40, 120] {
        let mut terminal = Terminal::start(mailing.run(), columns, false);
        let rows = terminal.until(|rows| has(rows, "runs on customer-mail") && has(rows, "never  skipped: "));
        assert_hangs(&rows, columns.into());
        // The mail server hangs up, and the host tries no second time.
        drop(mailing.server.accept().unwrap());
        let code = terminal.end();
        let text = terminal.text();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(code, 3, "{text}");
        assert!(row(&lines, "mail").starts_with("mail   failed ("), "{text}");
        assert_eq!(row(&lines, "later"), "later  skipped: needs `mail`, which failed", "{text}");
        assert!(row(&lines, "never").starts_with("never  skipped: "), "{text}");
        assert_eq!(lines.iter().filter(|line| line.contains("runs on") || line.contains("waits")).count(), 0, "{text}");
    }
}

#[test]
fn a_run_that_is_stopped_leaves_the_terminal_clean() {
    let mailing = Mailing::new(WORKFLOW);
    for columns in [40, 120] {
        let mut terminal = Terminal::start(mailing.run(), columns, true);
        let (_connection, _) = mailing.server.accept().unwrap();
        terminal.until(|rows| has(rows, "runs on customer-mail"));
        kill_process(Pid::from_child(&terminal.child), Signal::INT).unwrap();
        assert_eq!(terminal.end(), 6);
        let text = terminal.text();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(row(&lines, "mail").starts_with("mail   stopped ("), "{text}");
        assert_eq!(row(&lines, "later"), "later  not started", "{text}");
        assert!(text.contains("was stopped"), "{text}");
    }
}

#[test]
fn what_agents_and_data_say_is_not_said_to_the_terminal() {
    let mailing = Mailing::new(WORKFLOW);
    mailing.without_server();
    // A title, a cleared screen, a bell, an end of the line, and letters that run backwards: in data, and in what the agent makes of it.
    let input = r#"{ "customer": "C-1042", "order": "O-1\u202egnorw", "note": "\u001b]0;title\u0007\u001b[2J\u001b[1A\rnote\u009b2J" }"#;
    mailing.project.write("in.json", input);
    for columns in [40, 120] {
        let mut terminal = Terminal::start(mailing.run(), columns, true);
        let code = terminal.end();
        let (text, raw) = (terminal.text(), String::from_utf8(std::mem::take(&mut terminal.raw)).unwrap());
        assert_eq!(code, 0, "{text}");
        // A sign stands in the place of each, which the screen of this test leaves out.
        assert!(text.contains("note     ]0;title[2J[1Anote2J") && raw.contains("O-1\u{fffd}gnorw"), "{text}");
        for active in ["\x1b]", "\x07", "\x1b[2J", "\r\u{fffd}", "\rnote", "\u{9b}", "\u{202e}"] {
            assert!(!raw.contains(active), "{active:?}: {raw:?}");
        }
        for step in ["mail   done (", "later  done (", "never  skipped: "] {
            assert_eq!(text.matches(step).count(), 1, "{step}: {text}");
        }
    }
    // The same holds where nobody looks.
    let output = bailiwick(["run", mailing.project.path()]);
    assert!(output.stdout.contains("O-1\u{fffd}gnorw") && !output.stdout.contains(['\x1b', '\x07', '\u{202e}']), "{output:?}");
    // And for documents, which hold the very same value.
    for words in
        [vec!["run", "--json", mailing.project.path()], vec!["ledger", "show", "--last", "--json", "--project", mailing.project.path()]]
    {
        let output = bailiwick(words);
        assert!(output.stdout.contains(r"O-1\u202egnorw") && output.stdout.contains(r"note\u009b2J"), "{output:?}");
        assert!(!output.stdout.contains(['\x1b', '\x07', '\u{9b}', '\u{202e}']), "{output:?}");
        assert!(serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap().to_string().contains("O-1\u{202e}gnorw"));
    }
}

#[test]
fn a_long_build_shows_what_is_compiled_and_leaves_one_line() {
    for columns in [40, 120] {
        let project = Project::new("[project]\ndevelopment = true\n[agents]\nplain = { source = \"plain\" }\n");
        project.write("workflow.yaml", "workflow: w\n");
        project.write("plain/Cargo.toml", "");
        let programs = Programs::new(project.root().to_owned()).with_target();
        programs.hold("cargo");
        let mut terminal = Terminal::start(programs.command(&["build", project.path()]), columns, false);
        let mut compiling = programs.called("cargo");
        let shown = if columns == 40 { "building agent plain" } else { "Compiling left-pad v1.0.0" };
        let rows = terminal.until(|rows| has(rows, shown) && rows[0].starts_with(SPINNER));
        assert!(rows.len() == 1 && rows[0].chars().count() <= columns.into(), "{rows:#?}");
        compiling.release();
        assert_eq!(terminal.end(), 0);
        let rows = terminal.rows();
        assert!(rows.len() == 1 && rows[0].starts_with("built agent plain in "), "{rows:#?}");
    }
}
