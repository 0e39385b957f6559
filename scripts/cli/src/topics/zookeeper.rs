use super::arguments::Arguments;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub(super) struct Error;
impl Error { pub(super) fn class(&self) -> &'static str { "x" } }
pub(super) async fn run(_: &Arguments, _: &str) -> Result<(), super::Error> { Err(super::Error::from(Error)) }
