//! Nested projection pushdown: the leaves of a source that a query uses, and that leaving out the
//! others changes no row.

use datafusion::arrow::datatypes::{DataType, Fields, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerContext, OptimizerRule};
use datafusion::physical_plan::displayable;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::catalog::tests::*;

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
      id VARCHAR NOT NULL, n BIGINT,
      p STRUCT<
        type VARCHAR, url VARCHAR,
        client STRUCT<domain VARCHAR, title VARCHAR>,
        labels STRUCT<label VARCHAR, score DOUBLE>[],
        tags VARCHAR[]
      >
    ) STORED AS JSON PARTITIONED BY (date DATE) LOCATION 'events/'";

/// Every leaf of `p`.
const ALL_OF_P: &str =
    "p.type p.url p.client.domain p.client.title p.labels.label p.labels.score p.tags";

fn events() -> World {
    let row = |n: u32| {
        let client = match n % 3 {
            0 => String::new(),
            1 => ",\"client\":null".to_owned(),
            _ => format!(
                ",\"client\":{{\"domain\":\"d{}\",\"title\":\"t{n}\"}}",
                n % 5
            ),
        };
        let labels = match n % 4 {
            0 => String::new(),
            1 => ",\"labels\":[]".to_owned(),
            _ => format!(",\"labels\":[{{\"label\":\"l{n}\"}},{{\"score\":{n}.5}}]"),
        };
        let p = match n % 7 {
            0 => String::new(),
            1 => ",\"p\":null".to_owned(),
            // A string with an escape is left to the reference decoder.
            _ => format!(
                ",\"p\":{{\"type\":\"k{}\",\"url\":\"u\\u0041{n}\",\"tags\":[\"g{n}\",null]{client}{labels}}}",
                n % 2
            ),
        };
        format!("{{\"id\":\"i{n}\",\"n\":{}{p}}}\n", n % 6)
    };
    let rows = |numbers: std::ops::Range<u32>| numbers.map(row).collect::<String>();
    World::new()
        .declare("events", EVENTS)
        .raw("events/date=2026-01-01/a.json", rows(0..60))
        .raw("events/date=2026-01-02/a.json", rows(60..90))
}

/// Returns the names of the leaves that are used of each scan; scans of subqueries come first.
async fn used(world: &World, sql: &str) -> Vec<String> {
    let (ctx, _) = world.session().await.unwrap();
    let plan = ctx.state().create_logical_plan(sql).await.unwrap();
    used_leaves(&ctx.state().optimize(&plan).unwrap())
}

fn used_leaves(plan: &LogicalPlan) -> Vec<String> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            // The working table of a recursive query is a table, too.
            let Some(columns_read) = ColumnsRead::of(scan) else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let mut names = Vec::new();
            let schema = scan.source.schema();
            for (column, field) in schema.fields().iter().enumerate() {
                let before = names.len();
                leaf_names(field.name(), field.data_type(), &mut names);
                // A column that is not projected is not decoded, whatever its flags are.
                if !columns_read.contains(column) {
                    names[before..].fill(String::new());
                }
            }
            let flags = columns_read.leaves().iter();
            let used: Vec<&str> = names
                .iter()
                .zip(flags)
                .filter(|(name, is_used)| **is_used && !name.is_empty())
                .map(|(name, _)| name.as_str())
                .collect();
            scans.push(used.join(" "));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    scans
}

fn leaf_names(path: &str, data_type: &DataType, names: &mut Vec<String>) {
    let members = |fields: &Fields, names: &mut Vec<String>| {
        for field in fields {
            leaf_names(
                &format!("{path}.{}", field.name()),
                field.data_type(),
                names,
            );
        }
    };
    match data_type {
        DataType::Struct(fields) => members(fields, names),
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => members(fields, names),
            _ => names.push(path.to_owned()),
        },
        _ => names.push(path.to_owned()),
    }
}

/// Queries, and the leaves that their scans use.
const QUERIES: [(&str, &[&str]); 38] = [
    ("SELECT * FROM events", &["id n ALL"]),
    ("SELECT p FROM events", &["ALL"]),
    ("SELECT p['url'] FROM events", &["p.url"]),
    (
        "SELECT events.p.client.domain FROM events",
        &["p.client.domain"],
    ),
    (
        "SELECT p['client'] FROM events",
        &["p.client.domain p.client.title"],
    ),
    (
        "SELECT p['client'], p['client']['title'] AS t FROM events",
        &["p.client.domain p.client.title"],
    ),
    (
        "SELECT upper(p['url']) || p['type'] FROM events",
        &["p.type p.url"],
    ),
    (
        "SELECT id FROM events WHERE p['type'] = 'k1'",
        &["id p.type"],
    ),
    (
        "SELECT id FROM events WHERE p['type'] = 'k1' AND p['url'] LIKE 'u%' AND date > '2026-01-01'",
        &["id p.type p.url"],
    ),
    // Whether an object is NULL depends on all of its leaves.
    ("SELECT id FROM events WHERE p IS NOT NULL", &["id ALL"]),
    (
        "SELECT CASE WHEN p['client'] IS NOT NULL THEN named_struct('u', p['url']) END FROM events",
        &["p.url p.client.domain p.client.title"],
    ),
    (
        "SELECT id, p['client'] IS NULL AS gone FROM events",
        &["id p.client.domain p.client.title"],
    ),
    (
        "SELECT id FROM events WHERE p['labels'] IS NOT NULL",
        &["id p.labels.label p.labels.score"],
    ),
    ("SELECT count(p) FROM events", &["ALL"]),
    (
        "SELECT count(p['client']) FROM events",
        &["p.client.domain p.client.title"],
    ),
    ("SELECT coalesce(p, p) = p FROM events", &["ALL"]),
    // Through names.
    (
        "SELECT page.q['url'] FROM (SELECT p AS q, id FROM events) AS page",
        &["p.url"],
    ),
    (
        "SELECT c['title'] FROM (SELECT p['client'] AS c FROM events LIMIT 500) WHERE c['domain'] <> ''",
        &["p.client.domain p.client.title"],
    ),
    (
        "WITH page AS (SELECT * FROM events WHERE n = 2) SELECT page.p.url FROM page WHERE page.p.type = 'k0'",
        &["n p.type p.url"],
    ),
    (
        "SELECT s['x'] FROM (SELECT named_struct('x', p['url'], 'y', p['type']) AS s FROM events)",
        &["p.url"],
    ),
    // Lists are used whole.
    (
        "SELECT p['labels'][1]['label'] FROM events",
        &["p.labels.label p.labels.score"],
    ),
    (
        "SELECT unnest(p['labels'])['label'] FROM events",
        &["p.labels.label p.labels.score"],
    ),
    ("SELECT id, unnest(p['tags']) FROM events", &["id p.tags"]),
    // Orders, groups, windows.
    (
        "SELECT p['url'] FROM events ORDER BY p['type'], id LIMIT 20",
        &["id p.type p.url"],
    ),
    (
        "SELECT p['type'], count(DISTINCT p['url']) FROM events GROUP BY p['type'] HAVING max(n) > 1",
        &["n p.type p.url"],
    ),
    (
        "SELECT DISTINCT p['client']['domain'] FROM events",
        &["p.client.domain"],
    ),
    ("SELECT DISTINCT p FROM events", &["ALL"]),
    (
        "SELECT p['url'], row_number() OVER (PARTITION BY p['type'] ORDER BY id) FROM events",
        &["id p.type p.url"],
    ),
    (
        "SELECT p['url'], rank FROM (SELECT p, rank() OVER (ORDER BY id) AS rank FROM events)",
        &["id p.url"],
    ),
    // Several scans.
    (
        "SELECT p['url'] FROM events UNION ALL SELECT p['type'] FROM events",
        &["p.url", "p.type"],
    ),
    (
        "SELECT a.p['url'], b.p['type'] FROM events a JOIN events b ON a.id = b.id",
        &["id p.url", "id p.type"],
    ),
    (
        "SELECT a.id, b.p FROM events a LEFT JOIN events b ON a.p['url'] = b.p['url'] AND a.n < b.n AND a.p['type'] <> b.p['client']['title']",
        &["id n p.type p.url", "n ALL"],
    ),
    (
        "SELECT a.p['url'] FROM events a WHERE EXISTS (SELECT 1 FROM events b WHERE b.id = a.id AND b.p['type'] = 'k1')",
        &["id p.url", "id p.type"],
    ),
    (
        "SELECT p['url'] FROM events WHERE p['type'] NOT IN (SELECT p['client']['title'] FROM events WHERE p['client']['title'] IS NOT NULL)",
        &["p.type p.url", "p.client.title"],
    ),
    (
        "SELECT a.p['tags'] FROM events a FULL JOIN events b ON a.id = b.id WHERE b.p IS NOT NULL OR a.n = 1",
        &["id n p.tags", "id ALL"],
    ),
    (
        "SELECT id, (SELECT max(b.p['url']) FROM events b WHERE b.n = a.n) AS most FROM events a",
        &["id n", "n p.url"],
    ),
    // Operators that the rule does not know use all leaves.
    (
        "WITH RECURSIVE r AS (SELECT p, 1 AS depth FROM events UNION ALL SELECT p, depth + 1 FROM r WHERE depth < 2) SELECT p FROM r",
        &["ALL"],
    ),
    (
        "SELECT p['url'] FROM (SELECT p, unnest(p['tags']) FROM events)",
        &["ALL"],
    ),
];

#[tokio::test]
async fn only_the_leaves_that_a_query_uses_are_pushed_down() {
    let world = events();
    let mut wrong = Vec::new();
    for (sql, expected) in QUERIES {
        let expected_leaves: Vec<String> = expected
            .iter()
            .map(|leaves| leaves.replace("ALL", ALL_OF_P))
            .collect();
        let actual = used(&world, sql).await;
        if actual != expected_leaves {
            wrong.push(format!(
                "{sql}\n  used {actual:#?}\n  expected {expected_leaves:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rule must not rely on the operators around such a subquery, since they do not show the uses
/// inside it. Plans that can run have no such subquery.
#[tokio::test]
async fn everything_is_used_around_subqueries_that_name_columns_from_outside() {
    let (ctx, _) = events().session().await.unwrap();
    let rule = |sql: &'static str| {
        let state = ctx.state();
        async move {
            let plan = state.create_logical_plan(sql).await.unwrap();
            let rewritten = NestedProjectionPushdown.rewrite(plan, &OptimizerContext::new());
            used_leaves(&rewritten.unwrap().data)
        }
    };
    let inner = "SELECT a.id FROM events a WHERE a.n IN (SELECT b.n FROM events b)";
    let all = format!("id n {ALL_OF_P}");
    assert_eq!(rule(inner).await, [all.as_str(), "id n"]);
    let correlated = "SELECT a.id FROM events a
        WHERE a.n IN (SELECT b.n FROM events b WHERE b.id = a.p['url'])";
    assert_eq!(rule(correlated).await, [all.as_str(), all.as_str()]);
}

/// Runs a plan with the rule and without it. Returns the rows of both, sorted, and whether the rule
/// pruned any leaves.
async fn rows_both_ways(
    ctx: &SessionContext,
    plan: &LogicalPlan,
) -> (Vec<String>, Vec<String>, bool) {
    let all = SessionContext::new_with_state(ctx.state());
    assert!(all.remove_optimizer_rule(NestedProjectionPushdown.name()));
    let mut both = Vec::new();
    for ctx in [ctx, &all] {
        let plan = ctx.state().create_physical_plan(plan).await.unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let batches = collect(plan, ctx.task_ctx()).await.unwrap();
        let text = pretty_format_batches(&batches).unwrap().to_string();
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        rows.sort();
        both.push((rows, shown.contains(", leaves=")));
    }
    let (all, all_pruned) = both.pop().unwrap();
    let (some, is_pruned) = both.pop().unwrap();
    assert!(!all_pruned);
    (some, all, is_pruned)
}

#[tokio::test]
async fn pruning_leaves_changes_no_row() {
    let world = events();
    let mut pruned = 0;
    for (sql, _) in QUERIES {
        let (ctx, _) = world.session().await.unwrap();
        let plan = ctx.state().create_logical_plan(sql).await.unwrap();
        let (some, all, is_pruned) = rows_both_ways(&ctx, &plan).await;
        assert_eq!(some, all, "{sql}");
        assert!(all.len() > 4, "{sql}: no rows");
        pruned += usize::from(is_pruned);
    }
    assert!(pruned > QUERIES.len() / 2, "only {pruned} leave some out");
}

/// The queries of the repository's definitions on its fixtures.
#[tokio::test]
async fn pruning_leaves_changes_no_table_of_the_repository() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::load(&repository.join("sql/sources")).unwrap();
    let raw = Url::from_directory_path(repository.join("fixtures/raw")).unwrap();
    let instant = |text: &str| {
        let time = text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("+00:00".into()))
    };
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let mut pruned = Vec::new();
    for entry in std::fs::read_dir(repository.join("sql")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let ctx = SessionContext::new_with_config(
            SessionConfig::new().set_str("datafusion.execution.time_zone", "+00:00"),
        );
        sources.register(&ctx, Some(&raw)).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let state = ctx.state();
        let dialect = state.config_options().sql_parser.dialect;
        let Statement::CopyTo(copy) = state.sql_to_statement(&text, &dialect).unwrap() else {
            panic!("{}: no COPY", path.display());
        };
        let CopyToSource::Query(query) = copy.source else {
            panic!("{}: no query", path.display());
        };
        let query = Statement::Statement(Box::new(SqlStatement::Query(query)));
        let plan = state.statement_to_plan(query).await.unwrap();
        let of_window = plan.get_parameter_types().unwrap().into_values();
        assert!(
            of_window
                .flatten()
                .all(|kind| kind == utc || !kind.is_null())
        );
        let window = vec![
            ("window_start", instant("2026-01-15T00:00:00Z")),
            ("window_end", instant("2026-01-17T00:00:00Z")),
        ];
        let bound = plan.with_param_values(window).unwrap();
        let (some, all, is_pruned) = rows_both_ways(&ctx, &bound).await;
        assert_eq!(some, all, "{}", path.display());
        assert!(all.len() > 4, "{}: no rows", path.display());
        if is_pruned {
            pruned.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    pruned.sort();
    let events = [
        "formsubmission_events",
        "pageview_events",
        "pageviewengagement_events",
        "segmententry_events",
        "slotclicked_events",
        "slotviewable_events",
        "videoview_events",
    ];
    assert_eq!(pruned, events);
}

#[tokio::test]
async fn a_leaf_that_is_not_used_may_be_anything() {
    let row = |id: &str, p: &str| format!("{{\"id\":\"{id}\",\"p\":{p}}}\n");
    let world = World::new().declare("events", EVENTS).raw(
        "events/date=2026-01-01/a.json",
        [
            row(
                "a",
                r#"{"url":"u","type":7,"client":{"domain":[],"title":"t"}}"#,
            ),
            row("b", r#"{"url":"v","tags":{},"labels":[{"score":"high"}]}"#),
            // Nor are objects, where none of their members is used.
            row("c", r#"{"url":"w","client":[],"labels":"none"}"#),
        ]
        .concat(),
    );
    let rows = async |sql| world.query(sql).await.unwrap().rows();
    assert_eq!(
        rows("SELECT id, p['url'] FROM events").await,
        ["a|u", "b|v", "c|w"]
    );
    assert_eq!(
        rows("SELECT id FROM events WHERE p['url'] > 'u' ORDER BY id DESC").await,
        ["b", "c"]
    );
    for (sql, reason) in [
        ("SELECT p FROM events", "line 1: field `p.type`"),
        (
            "SELECT id FROM events WHERE p['type'] = 'x'",
            "line 1: field `p.type`",
        ),
        (
            "SELECT p['client'] FROM events",
            "line 1: field `p.client.domain`",
        ),
        (
            "SELECT p['client']['title'] FROM events",
            "line 3: field `p.client`",
        ),
        (
            "SELECT p['labels'][1]['label'] FROM events",
            "line 2: field `p.labels",
        ),
        ("SELECT p['tags'] FROM events", "line 2: field `p.tags`"),
    ] {
        let (ctx, _) = world.session().await.unwrap();
        let plan = physical_plan(&ctx, sql).await.unwrap();
        let error = collect(plan, ctx.task_ctx()).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{sql}: {error}");
    }
}

#[tokio::test]
async fn plans_show_how_many_leaves_are_decoded() {
    let world = events();
    let shown = async |sql| {
        let (ctx, _) = world.session().await.unwrap();
        let plan = physical_plan(&ctx, sql).await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    };
    let plan = shown("SELECT id, p['url'] FROM events").await;
    assert!(plan.contains("columns=[id, p], leaves=2 of 8\n"), "{plan}");
    let plan = shown("SELECT id, p FROM events").await;
    assert!(plan.contains("columns=[id, p]\n"), "{plan}");
}
