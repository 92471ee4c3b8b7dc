//! One registry as one caller sees it. In: an address below `/v2/`. Out: the answer, after whatever authentication the
//! registry asked for. Nothing is shared between callers; must never send one where the registry did not ask for it.

use std::sync::{Arc, Mutex};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};

use super::auth::{self, Auth, Challenge, Grant, Token};
use super::build::Builds;
use super::caller::Caller;
use super::credential::Credential;
use super::error::{Error, Place};
use super::kept::Kept;
use super::pool::{Pool, locked};
use super::wire::{Answer, Take, Wire, World};
use crate::image::Repository;

/// Of how many repositories a session remembers how to sign for them.
const LEARNED: usize = 10_000;
/// How much is taken of an answer that only says how to sign, in bytes.
const PING_BYTES: usize = 64 << 10;

/// A registry, a caller, and the tokens that it got.
pub(super) struct Session {
    wire: Wire,
    tokens: Pool<Grant, Token>,
    learned: Mutex<Kept<(Repository, Purpose), Auth>>,
    /// What the images of this registry are, as far as this caller asked.
    pub builds: Builds,
}

/// Some registries want another scope for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Tags.
    List,
    /// Manifests and blobs.
    Pull,
}

/// What is asked of a registry.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub method: Method,
    pub url: Url,
    /// The media types that are understood.
    pub accept: &'static str,
    pub purpose: Purpose,
    pub take: Take,
}

impl Session {
    /// The session of a caller at the registry with this address.
    pub(super) fn new(world: Arc<World>, base: Url, caller: Caller) -> Result<Self, String> {
        let wire = Wire::new(world, base, caller)?;
        let (tokens, learned) = (Pool::default(), Mutex::new(Kept::new(LEARNED)));
        Ok(Self { wire, tokens, learned, builds: Builds::default() })
    }

    /// The address of a registry: its host, HTTPS unless the user asked for plain HTTP. Docker Hub's API has a host of its own.
    pub(super) fn base(repository: &Repository, insecure: bool) -> Result<Url, String> {
        let host = match repository.host() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let scheme = if insecure { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| format!("{host} is no host: {error}"))
    }

    /// An address below `/v2/`; the path's parts are made of harmless characters ([`Repository`]).
    pub(super) fn url(&self, below: &str) -> Url {
        let mut url = self.wire.registry.clone();
        url.set_path(&format!("/v2/{below}"));
        url
    }

    pub(super) fn limits(&self) -> &super::Limits {
        self.wire.limits()
    }

    pub(super) fn place<'p>(&'p self, repository: &'p Repository) -> Place<'p> {
        self.wire.place(repository)
    }

    /// Asks with what was learned before; when the registry wants something else, learns it and asks once more.
    pub(super) async fn ask(&self, ask: &Ask, repository: &Repository) -> Result<Answer, Error> {
        let mut auth = self.recall(repository, ask.purpose);
        let before = auth.clone();
        let asked = self.try_ask(ask, repository, &mut auth).await;
        let refused = |answer: &Answer| answer.status == StatusCode::UNAUTHORIZED;
        if asked.as_ref().map_or_else(|error| matches!(error, Error::Authentication { .. }), refused) {
            // the registry's way of asking may have changed: begin anew next time
            locked(&self.learned).remove(&(repository.clone(), ask.purpose));
        } else if let Some(auth) = auth
            && before.is_none_or(|before| before != auth)
        {
            locked(&self.learned).put((repository.clone(), ask.purpose), auth);
        }
        asked
    }

    /// What was learned for this purpose, else for the other.
    fn recall(&self, repository: &Repository, purpose: Purpose) -> Option<Auth> {
        let other = if purpose == Purpose::List { Purpose::Pull } else { Purpose::List };
        let learned = &mut *locked(&self.learned);
        learned.get(&(repository.clone(), purpose)).or_else(|| learned.get(&(repository.clone(), other)))
    }

    async fn try_ask(&self, ask: &Ask, repository: &Repository, learned: &mut Option<Auth>) -> Result<Answer, Error> {
        let signature = match learned {
            Some(auth) => Some(auth.header(&self.wire, None, repository).await?),
            None => None,
        };
        let answer = self.send(ask, signature.as_ref(), repository).await?;
        if !self.wants_signature(&answer, signature.is_some()) {
            return Ok(answer);
        }
        let mut challenge = auth::challenge(&answer.headers, repository);
        if challenge.is_none() && signature.is_none() {
            // Some registries say how to ask only there.
            let (url, take) = (self.wire.registry.clone(), Take::own(PING_BYTES));
            let ping = Ask { method: Method::GET, url, take, ..ask.clone() };
            challenge = auth::challenge(&self.send(&ping, None, repository).await?.headers, repository);
        }
        let Some(challenge) = challenge else { return Ok(answer) };
        let auth = self.learn(challenge, repository)?;
        let renewed = auth.header(&self.wire, signature.as_ref(), repository).await?;
        *learned = Some(auth);
        if Some(&renewed) == signature.as_ref() {
            return Ok(answer);
        }
        self.send(ask, Some(&renewed), repository).await
    }

    async fn send(&self, ask: &Ask, signature: Option<&HeaderValue>, repository: &Repository) -> Result<Answer, Error> {
        self.wire.send(|| ask.request(signature), ask.take, repository).await
    }

    /// A private repository may look missing or forbidden to the unknown.
    fn wants_signature(&self, answer: &Answer, signed: bool) -> bool {
        match answer.status {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::FORBIDDEN => !signed,
            StatusCode::NOT_FOUND => !signed && self.wire.credential().is_some(),
            _ => false,
        }
    }

    fn learn(&self, challenge: Challenge, repository: &Repository) -> Result<Auth, Error> {
        let place = self.place(repository);
        let fixed = |text: &str| match auth::secret_value(text) {
            Some(value) => Ok(Auth::Fixed(value)),
            None => Err(place.authentication("the credential can't be put into a header")),
        };
        match (challenge, self.wire.credential()) {
            (Challenge::Basic, None) => {
                Err(place.authentication("it wants a user name and a password, and there is no credential for it"))
            }
            (Challenge::Basic, Some(credential)) => match credential.basic() {
                Some(basic) => fixed(&basic),
                None => Err(place.authentication("it wants a user name and a password, the pull secret holds a token")),
            },
            (Challenge::Bearer(grant), credential) => match credential.and_then(Credential::registry_token) {
                Some(token) => fixed(&format!("Bearer {token}")),
                None => {
                    let server = auth::realm(&grant.realm, &self.wire.registry);
                    let server = server.map_err(|reason| place.malformed(reason))?;
                    Ok(Auth::Bearer(self.tokens.get(grant.clone(), || Token::new(grant, server))))
                }
            },
        }
    }
}

impl Ask {
    fn request(&self, signature: Option<&HeaderValue>) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(self.accept));
        if let Some(signature) = signature {
            request.headers_mut().insert(AUTHORIZATION, signature.clone());
        }
        request
    }
}
