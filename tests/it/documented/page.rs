//! A page in Markdown → its blocks, each with what is to be done with it. A block of no known form is an error, so that no
//! example stays untried.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// What it is.
    pub form: Form,
}

/// What is done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Below a line that is a path and a colon: the file is written into the checkout.
    File { path: String, text: String },
    /// Below a line that is a path and `, afterwards:`: the file must be so.
    After { path: String, text: String },
    /// `yaml` below neither: manifests, or parts of them that begin with their kind. The API server must take them.
    Objects(String),
    /// `console`: commands behind `$ `, each above what it prints. `…` stands for anything, on a line of its own for any lines.
    Console(Vec<Command>),
    /// `jinja`: a template on each line, and in a comment behind it what it makes; tried by `src/update/message/tests.rs`.
    Template,
    /// A comment `<!-- test: … -->`, which readers do not see: the registry gets an image.
    Push { repository: String, tag: String },
    /// Another one: a person closes a pull request.
    Close(u64),
}

/// A command and what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The line of a shell.
    pub words: String,
    /// What it prints.
    pub says: String,
}

/// The blocks of a page, in their order.
///
/// # Errors
/// The line of a block that is of no known form.
pub fn read(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lead = "";
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim_end();
        if let Some(words) = line.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->")) {
            blocks.push(Block { line: at + 1, form: hidden(words).ok_or_else(|| format!("{}: {words}", at + 1))? });
        } else if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let text: String = inside.iter().map(|line| format!("{line}\n")).collect();
            let form = form(lead, language, text).ok_or_else(|| format!("{}: a block of no known form", at + 1))?;
            blocks.push(Block { line: at + 1, form });
            lead = "";
        } else if !line.is_empty() {
            lead = line;
        }
    }
    Ok(blocks)
}

/// `the registry gets shop/app:1.2.0`, `a person closes pull request 1`
fn hidden(words: &str) -> Option<Form> {
    if let Some(number) = words.strip_prefix("a person closes pull request ") {
        return number.parse().ok().map(Form::Close);
    }
    let (repository, tag) = words.strip_prefix("the registry gets ")?.split_once(':')?;
    Some(Form::Push { repository: repository.to_owned(), tag: tag.to_owned() })
}

fn form(lead: &str, language: &str, text: String) -> Option<Form> {
    let path = |end: &str| lead.strip_prefix('`')?.strip_suffix(end).map(str::to_owned);
    Some(match (language, path("`, afterwards:"), path("`:")) {
        ("console", ..) => Form::Console(commands(&text)?),
        (_, Some(path), _) => Form::After { path, text },
        (_, _, Some(path)) => Form::File { path, text },
        ("yaml", ..) => Form::Objects(text),
        ("jinja", ..) => Form::Template,
        _ => return None,
    })
}

fn commands(text: &str) -> Option<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("$ ") {
            commands.push(Command { words: words.to_owned(), says: String::new() });
        } else {
            let last = commands.last_mut()?;
            match last.words.strip_suffix('\\') {
                Some(words) => last.words = format!("{words}{}", line.trim_start()),
                None => last.says.push_str(&format!("{line}\n")),
            }
        }
    }
    Some(commands)
}

/// Whether a text is what a page says that it is: `…` stands for anything on its line; alone on a line, for any lines.
pub fn is_as_said(text: &str, said: &str) -> bool {
    let tidy = |text: &str| text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    let parts = tidy(said)
        .lines()
        .map(|line| match line {
            "…" => "(?:.*\n)*?".to_owned(),
            line => line.split('…').map(regex::escape).collect::<Vec<_>>().join(".*") + "\n",
        })
        .collect::<String>();
    regex::Regex::new(&format!("^{parts}$")).is_ok_and(|pattern| pattern.is_match(&tidy(text)))
}

/// The first cells of tables whose head begins with `Message`, without the marks of code: what the program says.
pub fn messages(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let cell = line.strip_prefix("| ").and_then(|rest| rest.split(" | ").next());
        match cell {
            Some("Message") => is_inside = true,
            Some(cell) if is_inside => found.push(cell.trim_matches('`').to_owned()),
            Some(_) => {}
            None => is_inside &= line.starts_with('|'),
        }
    }
    found
}
