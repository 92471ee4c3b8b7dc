//! The bytes of a commit or an annotated tag → what was signed, and the signature (gitformat-signature). Nothing is verified here.
//! What could be read in two ways is refused.

const COMMIT_HEADER: &[u8] = b"gpgsig";
/// The signature of the same object in a repository that counts by SHA-256: no part of what is signed.
const OTHER_HEADER: &[u8] = b"gpgsig-sha256";
const BEGINNINGS: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];
/// The longest signature that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// An object with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub payload: Vec<u8>,
    /// The armoured signature.
    pub signature: String,
}

/// What an annotated tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The id of what it is put on.
    pub object: String,
    /// What that is: `commit`, or another `tag`.
    pub kind: String,
    /// Its own name.
    pub name: String,
    /// Nothing when it is not signed.
    pub signed: Option<Signed>,
}

/// Takes a commit apart; nothing when it is not signed.
///
/// # Errors
/// It is no commit, or has more than one signature.
pub fn commit(raw: &[u8]) -> Result<Option<Signed>, String> {
    if !raw.starts_with(b"tree ") {
        return Err("it is no commit".to_owned());
    }
    let (headers, message) = headers(raw)?;
    let (mut payload, mut signature) = (Vec::with_capacity(raw.len()), None);
    let mut lines = headers.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let key = line.split(|byte| matches!(byte, b' ' | b'\n')).next().unwrap_or_default();
        let is_own = key == COMMIT_HEADER;
        if !is_own && key != OTHER_HEADER {
            payload.extend_from_slice(line);
            continue;
        }
        let mut value = line.get(key.len() + 1..).unwrap_or_default().to_vec();
        while let Some(more) = lines.next_if(|line| line.starts_with(b" ")) {
            value.extend_from_slice(&more[1..]);
        }
        if is_own && signature.replace(value).is_some() {
            return Err("it has more than one signature".to_owned());
        }
    }
    payload.extend_from_slice(message);
    let Some(signature) = signature else { return Ok(None) };
    Ok(Some(Signed { payload, signature: text(&signature)? }))
}

/// Takes an annotated tag apart.
///
/// # Errors
/// It is no tag.
pub fn tag(raw: &[u8]) -> Result<Tag, String> {
    let (headers, _) = headers(raw)?;
    let mut lines = headers.split(|byte| *byte == b'\n');
    let mut value = |key: &str| -> Result<String, String> {
        let line = lines.next().and_then(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b" "));
        let value = line.and_then(|line| std::str::from_utf8(line).ok()).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| "it is no annotated tag".to_owned())
    };
    let (object, kind, name) = (value("object")?, value("type")?, value("tag")?);
    // The last line that begins a signature, as Git: what is above it is message, whatever it looks like.
    let (mut at, mut found) = (0, None);
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if BEGINNINGS.iter().any(|beginning| line.starts_with(beginning)) {
            found = Some(at);
        }
        at += line.len();
    }
    let signed = match found {
        Some(at) if at > headers.len() => Some(Signed { payload: raw[..at].to_vec(), signature: text(&raw[at..])? }),
        _ => None,
    };
    Ok(Tag { object, kind, name, signed })
}

/// The headers with their line ends, and the rest with the empty line before it.
fn headers(raw: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let end = raw.windows(2).position(|two| two == b"\n\n").ok_or_else(|| "it has no end of its headers".to_owned())?;
    Ok(raw.split_at(end + 1))
}

fn text(signature: &[u8]) -> Result<String, String> {
    if signature.len() > LONGEST {
        return Err(format!("its signature is longer than {LONGEST} bytes"));
    }
    let text = std::str::from_utf8(signature).map_err(|_| "its signature is no text".to_owned())?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests;
