use crate::exit::Exit; use crate::fault::Result;
pub fn check(_: &crate::args::CheckArgs) -> Result<Exit> { Ok(Exit::Done) }
