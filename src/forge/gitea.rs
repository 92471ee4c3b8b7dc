//! The API of gitea.

use super::error::Error;
use super::{Forge, Request, Wanted};

pub async fn requests(forge: &Forge, _source: &str, _target: &str) -> Result<Vec<Request>, Error> {
    Err(forge.unsupported())
}

pub async fn open(forge: &Forge, _wanted: &Wanted<'_>) -> Result<Request, Error> {
    Err(forge.unsupported())
}

pub async fn update(forge: &Forge, _request: &Request, _wanted: &Wanted<'_>) -> Result<(), Error> {
    Err(forge.unsupported())
}

pub async fn close(forge: &Forge, _request: &Request, _comment: &str) -> Result<(), Error> {
    Err(forge.unsupported())
}
