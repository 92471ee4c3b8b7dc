//! Part of LOOP 1a: whom we are to a registry. In: an ImagePolicy. Out: the access with which its registry is asked, and whose
//! signatures it trusts; from Secrets, pull secrets of its ServiceAccount, or a cloud. A credential is only ever its own namespace's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use crate::api::ImagePolicy;
use crate::api::condition::Reason;
use crate::api::image_policy::{Cosign, Provider};
use crate::api::reference::LocalRef;
use crate::cluster::Cluster;
use crate::failure::{Answer, Failure, chain};
use crate::image::Repository;
use crate::reach::{Proxy, Tls};
use crate::registry::cloud::{self, Cloud, Subject};
use crate::registry::{self, Access, Credential};
use crate::source::secret_failure;
use crate::watch::signature::{Identity, Key, Keyless, Match, Trust, TrustedRoot};

/// How long a login at a cloud may take, all steps together.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Who asks a registry, and whom it trusts.
#[derive(Clone)]
pub struct Login {
    /// How the registry is asked.
    pub access: Access,
    /// Whose signatures count, if the policy wants any.
    pub trust: Option<Arc<Trust>>,
    /// The cloud that the credential is from; it is asked again each time, and answers from its memory.
    cloud: Option<(cloud::Provider, Subject, Option<String>)>,
    namespace: String,
}

/// Reads everything that the policy refers to.
///
/// # Errors
/// When something is missing or can't be read, with what it is and what to do.
pub async fn login(
    object: &ImagePolicy,
    image: &Repository,
    cluster: &Cluster,
    clouds: &Cloud,
) -> Result<Login, Failure> {
    let spec = &object.spec;
    let secrets = Secrets { cluster, namespace: object.namespace().unwrap_or_default() };
    let account = match &spec.service_account_name {
        Some(name) => {
            let found = cluster.account(&secrets.namespace, name).await;
            Some((name.clone(), found.map_err(|error| secret_failure(&error))?))
        }
        None => None,
    };
    let cloud = spec.provider.and_then(in_the_cloud).map(|provider| match &account {
        Some((name, found)) => {
            let subject = Subject::service_account(&secrets.namespace, name, found.annotations.clone());
            (provider, subject, Some(name.clone()))
        }
        None => (provider, Subject::controller(), None),
    });
    let mut credential = None;
    if cloud.is_none() {
        let own = spec.secret_ref.iter().map(|secret| secret.name.clone());
        let brought = account.iter().flat_map(|(_, found)| found.pull_secrets.clone());
        for (is_own, name) in own.map(|name| (true, name)).chain(brought.map(|name| (false, name))) {
            credential = secrets.credential(&name, image, is_own).await?;
            if credential.is_some() {
                break;
            }
        }
    }
    let access = Access {
        insecure: spec.insecure,
        credential,
        tls: secrets.tls(spec.cert_secret_ref.as_ref()).await?,
        proxy: secrets.proxy(spec.proxy_secret_ref.as_ref()).await?,
        ..Access::new(image.clone())
    };
    let cosign = spec.gates.as_ref().and_then(|gates| gates.verify.as_ref()).map(|verify| &verify.cosign);
    let trust = match cosign {
        Some(cosign) => Some(Arc::new(secrets.trust(cosign).await?)),
        None => None,
    };
    let login = Login { access, trust, cloud, namespace: secrets.namespace };
    login.renewed(cluster, clouds).await
}

impl Login {
    /// The same login, with a fresh credential if it is from a cloud and the one of before is about to end.
    ///
    /// # Errors
    /// When the cloud refuses, or can't be asked.
    pub async fn renewed(mut self, cluster: &Cluster, clouds: &Cloud) -> Result<Self, Failure> {
        let Some((provider, subject, account)) = &self.cloud else { return Ok(self) };
        let token = async |audience: String| match account {
            Some(account) => {
                let granted = cluster.account_token(&self.namespace, account, &audience).await;
                granted.map_err(|error| chain(&error))
            }
            None => Err("the controller's own identity needs no ServiceAccount".to_owned()),
        };
        let credential = clouds.login(*provider, &self.access.repository, subject, token, LOGIN_TIMEOUT).await;
        self.access.credential = Some(credential.map_err(|error| cloud_failure(&error))?);
        Ok(self)
    }

    /// Forgets what a cloud gave, after the registry refused it.
    pub fn refused(&self, clouds: &Cloud) {
        if let Some((provider, subject, _)) = &self.cloud {
            clouds.forget(*provider, &self.access.repository, subject);
        }
    }
}

fn in_the_cloud(provider: Provider) -> Option<cloud::Provider> {
    match provider {
        Provider::Generic => None,
        Provider::Aws => Some(cloud::Provider::Aws),
        Provider::Azure => Some(cloud::Provider::Azure),
        Provider::Gcp => Some(cloud::Provider::Gcp),
    }
}

fn cloud_failure(error: &cloud::Error) -> Failure {
    let (reason, message) = (Reason::RegistryAuthenticationFailed, chain(error));
    if error.needs_user() {
        return Failure::user(reason, message);
    }
    Failure { answer: Answer::Retry { after: error.retry_after() }, reason, message }
}

/// The Secrets of one namespace.
struct Secrets<'c> {
    cluster: &'c Cluster,
    namespace: String,
}

impl Secrets<'_> {
    async fn read(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        self.cluster.secret(&self.namespace, name).await.map_err(|error| secret_failure(&error))
    }

    fn invalid(&self, name: &str, reason: impl std::fmt::Display) -> Failure {
        Failure::user(Reason::InvalidSecret, format!("Secret {}/{name}: {reason}", self.namespace))
    }

    /// A pull secret that the service account names but nobody made is passed over, as the kubelet does.
    async fn credential(&self, name: &str, image: &Repository, is_own: bool) -> Result<Option<Credential>, Failure> {
        let data = match self.cluster.secret(&self.namespace, name).await {
            Ok(data) => data,
            Err(crate::cluster::Error::NotFound(_)) if !is_own => return Ok(None),
            Err(error) => return Err(secret_failure(&error)),
        };
        let Some(config) = data.get(".dockerconfigjson") else {
            return if is_own { Err(self.invalid(name, "it lacks the key .dockerconfigjson")) } else { Ok(None) };
        };
        registry::credential(config, image).map_err(|reason| self.invalid(name, reason))
    }

    async fn tls(&self, secret: Option<&LocalRef>) -> Result<Option<Tls>, Failure> {
        let Some(LocalRef { name }) = secret else { return Ok(None) };
        let data = self.read(name).await?;
        let tls = Tls::read(&data).map_err(|reason| self.invalid(name, reason))?;
        tls.map(Some).ok_or_else(|| self.invalid(name, "it holds none of ca.crt, and tls.crt with tls.key"))
    }

    async fn proxy(&self, secret: Option<&LocalRef>) -> Result<Option<Proxy>, Failure> {
        let Some(LocalRef { name }) = secret else { return Ok(None) };
        Proxy::read(&self.read(name).await?).map(Some).map_err(|reason| self.invalid(name, reason))
    }

    async fn trust(&self, cosign: &Cosign) -> Result<Trust, Failure> {
        let mut keys = Vec::new();
        if let Some(LocalRef { name }) = &cosign.secret_ref {
            let data = self.read(name).await?;
            for (key, pem) in data.iter().filter(|(key, _)| key.ends_with(".pub")) {
                keys.push(Key::parse(key, pem).map_err(|reason| self.invalid(name, format!("{key}: {reason}")))?);
            }
            if keys.is_empty() {
                return Err(self.invalid(name, "none of its keys ends in .pub"));
            }
        }
        let mut identities = Vec::new();
        for (at, identity) in cosign.match_oidc_identity.iter().enumerate() {
            let pattern = |field: &str, text: &str| {
                Match::parse_pattern(text).map_err(|reason| {
                    let path = format!("spec.gates.verify.cosign.matchOIDCIdentity[{at}].{field}");
                    Failure::user(Reason::InvalidSpec, format!("{path}: {reason}"))
                })
            };
            let issuer = pattern("issuer", &identity.issuer)?;
            identities.push(Identity { issuer, subject: pattern("subject", &identity.subject)? });
        }
        let keyless = if identities.is_empty() {
            None
        } else {
            Some(Keyless { identities, root: self.trusted_root(cosign.trusted_root_secret_ref.as_ref()).await? })
        };
        Ok(Trust { keys, keyless })
    }

    async fn trusted_root(&self, secret: Option<&LocalRef>) -> Result<TrustedRoot, Failure> {
        let Some(LocalRef { name }) = secret else {
            return TrustedRoot::public().map_err(|reason| Failure::user(Reason::InternalError, reason));
        };
        let data = self.read(name).await?;
        let json =
            data.get("trusted_root.json").ok_or_else(|| self.invalid(name, "it lacks the key trusted_root.json"))?;
        TrustedRoot::parse(json).map_err(|reason| self.invalid(name, format!("trusted_root.json: {reason}")))
    }
}
