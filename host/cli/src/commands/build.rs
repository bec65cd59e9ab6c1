//! `bailiwick build`.

use serde_json::json;

use crate::args::BuildArgs;
use crate::display::{self, Notes, Table};
use crate::exit::Exit;
use crate::fault::Result;
use crate::project::Project;
use crate::stop::Stop;
use crate::{text, wire};

/// Compiles a project's agents and lists the components.
pub fn build(args: &BuildArgs) -> Result<Exit> {
    let project = Project::load(&args.project, None)?;
    let notes = Notes::new(false);
    // Nothing here has to be ended in order, but the lines on the terminal.
    let _stop = Stop::listen(&notes)?;
    let built = wire::build_sources(&project, &notes)?;
    if args.json {
        let agents = built.iter().map(
            |(name, component)| json!({ "name": name, "path": component.path, "digest": component.digest, "bytes": component.bytes.len() }),
        );
        display::print_json(&json!({ "exit": Exit::Done.name(), "agents": agents.collect::<Vec<_>>() }));
        return Ok(Exit::Done);
    }
    if built.is_empty() {
        display::print("no agent of the project is a source folder: nothing to build");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["agent", "size>", "component"]);
    for (name, component) in &built {
        table.row([name.to_string(), text::bytes(component.bytes.len() as u64), text::path(&component.path)]);
    }
    display::print(&table.to_text());
    for (name, component) in &built {
        // Apart from the table: a digest is to be copied whole.
        display::print(&format!("{}  {name}", component.digest));
    }
    Ok(Exit::Done)
}
