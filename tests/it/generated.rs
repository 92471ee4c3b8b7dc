//! Files that are made from the source are as it makes them.

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("generated: crds/ holds what `tagboat crds` prints", || {
        for (plural, text) in tagboat::api::definitions()? {
            let path = format!("{}/crds/{plural}.yaml", env!("CARGO_MANIFEST_DIR"));
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            if there != text {
                return Err(format!("{path} is not what the types make; run `make crds`").into());
            }
        }
        Ok(())
    })]
}
