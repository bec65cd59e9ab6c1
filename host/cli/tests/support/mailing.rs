//! A project whose agents send mail, and the mail server that they reach, which says nothing.

use std::net::TcpListener;
use std::process::Command;

use super::{Project, workspace};

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
}
