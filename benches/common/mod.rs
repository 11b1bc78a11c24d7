//! Web events like those of real exports, about 1.3 KB of JSON each; the same in every run.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use fastrand::Rng;

/// The number of rows of a batch, as the engine produces them.
pub(crate) const ROWS: usize = 8192;

const WORDS: [&str; 24] = [
    "market",
    "election",
    "climate",
    "budget",
    "storm",
    "league",
    "transfer",
    "review",
    "kitchen",
    "garden",
    "travel",
    "london",
    "paris",
    "festival",
    "court",
    "minister",
    "health",
    "economy",
    "science",
    "battery",
    "energy",
    "recipe",
    "interview",
    "opinion",
];

/// Returns batches that differ, but share a small set of articles, agents and cities, so that they
/// compress about as well as real events.
pub(crate) fn events(batches: usize) -> Vec<RecordBatch> {
    let mut random = Rng::with_seed(0x2026_0115);
    (0..batches).map(|_| batch(&mut random)).collect()
}

/// Returns a number below `end`, a small one much more often than a large one.
fn skewed(random: &mut Rng, end: u64) -> u64 {
    let bound = random.u64(1..=end);
    random.u64(..bound)
}

/// Returns a UUID of version 4 as text.
fn uuid(random: &mut Rng) -> String {
    let (high, low) = (random.u64(..), random.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// Returns `count` words that depend on `seed` alone.
fn words(seed: u64, count: u64, between: &str) -> String {
    let mut random = Rng::with_seed(seed);
    let words = (0..count).map(|_| WORDS[random.usize(..WORDS.len())]);
    words.collect::<Vec<_>>().join(between)
}

fn title(article: u64) -> String {
    let plain = words(article, 5 + article % 7, " ");
    match article % 20 {
        0 => format!("“{plain}” — l’été à Besançon"),
        1 => format!("{plain} \"exclusive\" \\ live"),
        2 => format!("{plain} 🚀 東京"),
        3 => format!("{plain}\ttab & <b>bold</b>"),
        _ => plain,
    }
}

fn url(article: u64) -> String {
    let (domain, slug) = (domain(article), words(article, 4 + article % 5, "-"));
    format!(
        "https://{domain}/{}/2026/01/{slug}-{:08x}",
        words(article, 1, ""),
        article * 7_919
    )
}

fn domain(article: u64) -> String {
    const KINDS: [&str; 4] = ["www", "m", "sport", "news"];
    format!(
        "{}.dailyherald{}.co.uk",
        KINDS[article as usize % 4],
        article % 9
    )
}

fn user_agent(seed: u64) -> String {
    let (version, build) = (100 + seed % 45, 1000 + seed * 31 % 6000);
    match seed % 3 {
        0 => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{build}.1 Safari/537.36"
        ),
        1 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.1 Mobile/15E148 Safari/604.1",
            version % 8 + 12,
            build % 7,
            version % 8 + 12
        ),
        _ => format!(
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        ),
    }
}

fn batch(random: &mut Rng) -> RecordBatch {
    let numbers =
        |random: &mut Rng, end| -> Vec<u64> { (0..ROWS).map(|_| skewed(random, end)).collect() };
    let (articles, agents) = (numbers(random, 20_000), numbers(random, 400));
    let (cities, providers) = (numbers(random, 3_000), numbers(random, 500));
    let users: Vec<String> = (0..ROWS / 4).map(|_| uuid(random)).collect();
    let of = |seeds: &[u64], spell: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            seeds.iter().map(|seed| spell(*seed)),
        ))
    };
    let ids = |random: &mut Rng| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            (0..ROWS).map(|_| uuid(random)),
        ))
    };
    let sometimes = |random: &mut Rng, column: &ArrayRef, percent: u64| -> ArrayRef {
        let texts = column
            .as_any()
            .downcast_ref::<StringArray>()
            .expect("strings")
            .iter()
            .map(|text| text.filter(|_| random.u64(..100) < percent));
        Arc::new(texts.collect::<StringArray>())
    };
    let referrers = of(&cities, &|seed| {
        format!("https://www.google.com/{}", words(seed, 4, "-"))
    });
    let client = structure(vec![
        ("url", of(&articles, &url)),
        ("domain", of(&articles, &domain)),
        ("title", of(&articles, &title)),
        ("referrer", sometimes(random, &referrers, 70)),
        ("user_agent", of(&agents, &user_agent)),
        ("type", of(&agents, &|_| "web".to_owned())),
    ]);
    let geo = structure(vec![
        (
            "country",
            of(&cities, &|seed| {
                ["GB", "FR", "DE", "US"][seed as usize % 4].to_owned()
            }),
        ),
        (
            "city",
            of(&cities, &|seed| {
                format!(
                    "{} {}",
                    ["Zürich", "London", "São Paulo", "東京"][seed as usize % 4],
                    seed % 90
                )
            }),
        ),
        ("continent", of(&cities, &|_| "Europe".to_owned())),
    ]);
    let isp = structure(vec![
        (
            "isp",
            of(&providers, &|seed| {
                format!("{} Telecom", words(seed, 2, " "))
            }),
        ),
        (
            "organization",
            of(&providers, &|seed| {
                format!("{} Telecom Ltd", words(seed, 2, " "))
            }),
        ),
        (
            "autonomous_system_number",
            Arc::new(Int32Array::from_iter_values(
                providers.iter().map(|seed| 1000 + *seed as i32),
            )),
        ),
    ]);
    let categories =
        StringArray::from_iter_values((0..2 * ROWS as u64).map(|n| words(n % 97, 1, "")));
    let article = structure(vec![
        (
            "id",
            of(&articles, &|seed| {
                format!("{:016x}", seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            }),
        ),
        (
            "categories",
            list(
                [2].into_iter().cycle().take(ROWS).collect(),
                Arc::new(categories),
            ),
        ),
    ]);
    let engagement = structure(vec![
        (
            "engaged_time",
            Arc::new(Int64Array::from_iter_values(
                articles.iter().map(|seed| *seed as i64 * 1_003),
            )),
        ),
        (
            "completion",
            Arc::new(Float64Array::from_iter_values(
                agents.iter().map(|seed| *seed as f64 / 400.0),
            )),
        ),
    ]);
    let times = (0..ROWS as i64).map(|row| 1_768_435_200_000_000 + row * 10_546_131);
    let user = |row: usize| users[(articles[row] + cities[row]) as usize % users.len()].clone();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", ids(random)),
        (
            "organization_id",
            of(&articles, &|_| {
                "3f6d0c1e-5b7a-4c0e-9a51-7d2f8f1f0a11".to_owned()
            }),
        ),
        (
            "user_id",
            Arc::new(StringArray::from_iter_values((0..ROWS).map(user))),
        ),
        ("session_id", ids(random)),
        ("view_id", ids(random)),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
        ("segments", segments(random)),
        (
            "properties",
            structure(vec![
                ("client", client),
                ("geo_info", geo),
                ("isp_info", isp),
                ("article", article),
                ("engagement", engagement),
            ]),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// Returns a list of sorted ids for each row: fewer than sixty, each below 5000.
fn segments(random: &mut Rng) -> ArrayRef {
    let lengths: Vec<usize> = (0..ROWS).map(|_| skewed(random, 60) as usize).collect();
    let mut numbers = Vec::new();
    for length in &lengths {
        let mut ids: Vec<i32> = (0..*length).map(|_| random.i32(..5000)).collect();
        ids.sort_unstable();
        numbers.extend(ids);
    }
    list(lengths, Arc::new(Int32Array::from(numbers)))
}

fn list(lengths: Vec<usize>, items: ArrayRef) -> ArrayRef {
    let field = Field::new("element", items.data_type().clone(), true);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(Arc::new(field), offsets, items, None))
}

fn structure(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields = columns.into_iter().map(|(name, column)| {
        (
            Arc::new(Field::new(name, column.data_type().clone(), true)),
            column,
        )
    });
    Arc::new(StructArray::from(fields.collect::<Vec<_>>()))
}
