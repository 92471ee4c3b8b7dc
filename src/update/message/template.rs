//! A template and values → text, or what is wrong. Strict about names; bounded in steps, memory and text, whatever the template
//! says, since a tenant writes it and the controller of all runs it.

use minijinja::machinery::{Instruction, get_compiled_template};
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, Template, UndefinedBehavior, Value};

/// The longest text that a template may make, in bytes.
const TEXT_BYTES: usize = 32 << 10;
/// Steps that a template may take; text that it holds on the way counts too.
const FUEL: u64 = 100_000;
/// The longest list of constants; also of characters.
const CONSTANTS: usize = 8192;
/// What makes values of many values. Fuel counts text that is there, not what a value would be as a text: `[x, x]`, forty times
/// over, is nothing until it is shown.
const NESTING: [&str; 4] = ["batch", "chain", "slice", "zip"];

/// Checks a template's grammar.
///
/// # Errors
/// What is wrong, with the line.
pub fn check(template: &str) -> Result<(), String> {
    parse(&environment(), template).map(|_| ())
}

/// What a template makes of values.
///
/// # Errors
/// What is wrong: the grammar, a name that is not there, or too much work or text.
pub fn render(template: &str, values: Value) -> Result<String, String> {
    let environment = environment();
    let template = parse(&environment, template)?;
    let mut text = Bounded::default();
    match template.render_captured_to(values, &mut text) {
        _ if text.is_full => Err(format!("the template makes more than {} KiB of text", TEXT_BYTES >> 10)),
        Ok(_) => Ok(String::from_utf8_lossy(&text.bytes).into_owned()),
        Err(error) => Err(said(&error)),
    }
}

/// What a template writes, as long as it is not too much.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.is_full |= self.bytes.len() + bytes.len() > TEXT_BYTES;
        if self.is_full {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    NESTING.iter().for_each(|filter| environment.remove_filter(filter));
    ["dict", "namespace", "debug"].iter().for_each(|function| environment.remove_global(function));
    environment.add_filter("map", map);
    environment
}

/// `map(attribute='…')`; by another filter it could nest.
fn map(values: Value, named: Kwargs) -> Result<Vec<Value>, Error> {
    let attribute: &str = named.get("attribute")?;
    named.assert_all_used()?;
    values.try_iter()?.map(|value| value.get_attr(attribute)).collect()
}

fn parse<'e>(environment: &'e Environment<'_>, template: &'e str) -> Result<Template<'e, 'e>, String> {
    let template = environment.template_from_str(template).map_err(|error| said(&error))?;
    let instructions = &get_compiled_template(&template).instructions;
    for index in 0.. {
        let why = match instructions.get(index) {
            None => break,
            Some(Instruction::BuildList(Some(_)) | Instruction::BuildTuple(_) | Instruction::BuildMap(_)) => {
                "a list or map may hold constants only"
            }
            // Such a list is multiplied while the template is parsed.
            Some(Instruction::LoadConst(value)) if value.len().is_some_and(|length| length > CONSTANTS) => {
                "a list of constants is too long"
            }
            Some(Instruction::Add) if is_number(index.checked_sub(1).and_then(|before| instructions.get(before))) => {
                continue;
            }
            Some(Instruction::Add | Instruction::Mul) => "+ (but + 1) and * are not available: ~ joins texts",
            Some(_) => continue,
        };
        return Err(format!("{why} (line {})", instructions.get_line(index).unwrap_or(1)));
    }
    Ok(template)
}

fn is_number(instruction: Option<&Instruction<'_>>) -> bool {
    matches!(instruction, Some(Instruction::LoadConst(value)) if value.is_number())
}

fn said(error: &Error) -> String {
    crate::failure::printable(&format!("{error:#}"), 300)
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[track_caller]
    fn check_stopped(start: &str, step: &str, times: usize, end: &str) {
        let long = "k".repeat(4000);
        let template = format!("{start}{}{end}", step.repeat(times)).replace("LONG", &long);
        assert!(render(&template, context! { text => "web:app" }).is_err(), "{start}{step}{end}");
    }

    /// None of these takes more than some megabytes, or some hundred milliseconds.
    #[test]
    fn what_grows_is_stopped_while_it_is_small() {
        for step in ["x ~ x", "x + x", "x * 1000", "x | replace('k', x)", "x | list | join(x)"] {
            check_stopped("{% set x = 'k\nk' %}", &format!("{{% set x = {step} %}}"), 40, "{{ x | length }}");
        }
        for step in [
            "[x, x]",
            "(x, x)",
            "{'a': x, 'b': x}",
            "x + x",
            "x * 1000",
            "x | zip(x)",
            "x | chain(x)",
            "dict(a=x, b=x)",
        ] {
            check_stopped("{% set x = [1] %}", &format!("{{% set x = {step} %}}"), 40, "{{ x | string | length }}");
        }
        let default = "{% set x = x | map('attr', 'y') | map('default', x) | list %}";
        check_stopped("{% set x = [1, 2] %}", default, 40, "{{ x == x }}");
        check_stopped("{% set x = 'k' %}", "{% set x %}{{ x }}{{ x }}{% endset %}", 40, "{{ x | length }}");
        check_stopped("{{ '\"'", "| escape | replace('&', '&&')", 60, "| length }}");
        for all in [
            "{{ 'k' | indent(2000000000) | length }}",
            "{{ '%2000000000d' | format(1) | length }}",
            "{{ range(99999) | join('LONG') | length }}",
            "{{ range(99999) | string | replace(',', 'LONG') | length }}",
            "{{ (['LONG'] * 9999) | string | length }}",
            "{% for a in range(9000) %}{% for a in range(9000) %}{% endfor %}{% endfor %}",
            "{% for a in range(99999) %}{% set b = range(99999) | list %}{% endfor %}",
            "{% for x in [1] recursive %}{{ loop([1]) }}{{ loop([1]) }}{% endfor %}",
        ] {
            check_stopped(all, "", 0, "");
        }
    }

    #[test]
    fn what_people_write_works() {
        for (template, makes) in [
            ("{{ text | replace('web:', '') | upper }}", "APP"),
            (
                "{{ text ~ '!' }} {{ 'a' in ['a', 'b'] }} {{ text[:3] }} {{ (text | split(':'))[1] }}",
                "web:app! True web app",
            ),
            ("{% for i in range(3) if i %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}", "1, 2"),
            ("{% set x = [3, 1] %}{{ x | sort | join('-') }} {{ {'a': 1}.a }}", "1-3 1"),
            ("{{ text is startingwith('web') }}", "True"),
        ] {
            assert_eq!(render(template, context! { text => "web:app" }).as_deref(), Ok(makes), "{template}");
        }
    }
}
