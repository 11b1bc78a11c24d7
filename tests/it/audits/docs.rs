//! The audits of the documentation, on the fixtures.

use std::fs;

use crate::audits::audits_of;
use crate::support::{SECOND_DAY, Sandbox, TestDestination, repository};

#[test]
fn the_documented_audits_hold_on_the_fixtures() {
    let page = fs::read_to_string(repository().join("docs/audits.md")).expect("the page");
    let (_, from_block) = page.split_once("```sql\n").expect("a block of SQL");
    let (audits, _) = from_block.split_once("```").expect("its end");
    let sandbox = Sandbox::fixtures(TestDestination::local());
    sandbox.write("sql/audits/pageview_events.sql", audits.to_owned());
    let args = ["--date", SECOND_DAY, "--output", "json", "pageview_events"];
    let results = audits_of(&sandbox.run(&args).succeeded());
    assert_eq!(results.len(), 4, "{results:?}");
    let passed = results.iter().filter(|result| result["result"] == "passed");
    assert_eq!(passed.count(), 4, "{results:?}");
}
