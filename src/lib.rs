//! tagboat keeps the whole image-to-cluster path of a Kubernetes cluster in Git.
//!
//! Loop one watches registries ([`watch`]) and commits tag bumps ([`update`]); loop two keeps the cluster equal to the
//! repository ([`sync`]); both stand on the branch's head ([`source`]). Each of these four is one flow that reads like its
//! sentence, beside a folder of pure steps on plain data. Everything that touches the world is one of four shells:
//! [`registry`], [`git`], [`cluster`], [`http`]. Steps and shells meet only in the flows.

pub mod api;

pub mod image;
pub mod revision;
pub mod object;
pub mod failure;
