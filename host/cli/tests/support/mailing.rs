//! A project whose agents send mail, and the mail server that they reach, which says nothing.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Project, workspace};

/// Longest wait for a program that compiles agents first.
const PATIENCE: Duration = Duration::from_secs(300);

pub struct Mailing {
    pub project: Project,
    pub server: TcpListener,
}

impl Mailing {
    pub fn new(workflow: &str) -> Self {
        let agent = workspace().join("agents/customer-mail");
        let toml = format!(
            "[project]\nname = \"one\"\ntenant = \"nordwind\"\ndevelopment = true\ninput = \"in.json\"\n\
             [limits]\ndeadline = \"5m\"\n[agents]\ncustomer-mail = {{ source = \"{}\" }}\n",
            agent.display()
        );
        let project = Project::new(&toml);
        project.write("workflow.yaml", workflow);
        project.write("in.json", "{ \"customer\": \"C-1042\" }");
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        for name in ["shop", "mail"] {
            let text = std::fs::read_to_string(workspace().join(format!("examples/returns/connectors/{name}.toml"))).unwrap();
            let smtp = format!("\n[smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n");
            project.write(&format!("connectors/{name}.toml"), &(text + if name == "mail" { &smtp } else { "" }));
        }
        Self { project, server }
    }

    /// Has mail become files.
    pub fn without_server(&self) {
        let mail = self.project.read("connectors/mail.toml");
        self.project.write("connectors/mail.toml", mail.split("\n[smtp]").next().unwrap());
    }

    pub fn run(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["run", self.project.path()]);
        command
    }

    /// Starts a command and gives it back when its call has reached the mail server, which says nothing.
    pub fn start(&self, mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (connected, connections) = channel();
        let gone = connected.clone();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(said.send(line)));
            let _ = gone.send(None);
        });
        let server = self.server.try_clone().unwrap();
        std::thread::spawn(move || connected.send(Some(server.accept().unwrap().0)));
        let stdout = child.stdout.take().unwrap();
        let Ok(Some(connection)) = connections.recv_timeout(PATIENCE) else {
            child.kill().unwrap();
            panic!("the mail server was not reached: {:?}", lines.iter().collect::<Vec<_>>());
        };
        Running { child, stdout, lines, connection }
    }
}

/// A program in the middle of a call.
pub struct Running {
    pub child: Child,
    pub stdout: ChildStdout,
    pub lines: Receiver<String>,
    /// Its connection to the mail server.
    pub connection: TcpStream,
}

impl Running {
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. Gives the exit code and the document on standard output.
    pub fn end(mut self) -> (i32, Value, Vec<String>) {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or_else(|| panic!("it was killed"));
        (code, serde_json::from_str(&text).unwrap_or_default(), self.lines.iter().collect())
    }
}
