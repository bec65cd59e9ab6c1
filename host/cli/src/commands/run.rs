use crate::exit::Exit; use crate::fault::Result;
pub fn run(_: &crate::args::RunArgs) -> Result<Exit> { Ok(Exit::Done) }
