//! Descriptions and names that try to leave their quotes and comments: whatever they hold, a script has
//! the same statements as with plain ones.
//!
//! Two readers judge that: the parser of the dialect in `sqlparser`, and [`read`], which follows the rules
//! of the engines where that parser does not, and takes every character for the end of a line that some
//! engine takes for one.

use datafusion::sql::sqlparser::dialect::{
    BigQueryDialect, DatabricksDialect, Dialect as SqlDialect, DuckDbDialect, HiveDialect,
    SnowflakeDialect,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::*;
use crate::ddl::quoting::one_line;

const DIALECTS: [Dialect; 5] = [
    Dialect::Athena,
    Dialect::BigQuery,
    Dialect::DuckDb,
    Dialect::Snowflake,
    Dialect::Spark,
];

/// What hostile texts are made of.
const PIECES: [&str; 42] = [
    "'",
    "''",
    "'''",
    "\"",
    "\"\"",
    "`",
    "``",
    "\\",
    "\\\\",
    "\\'",
    "\\`",
    "\\u0027",
    "\\n",
    "--",
    "-- ",
    "/*",
    "*/",
    "#",
    ";",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\u{b}",
    "\u{c}",
    "\u{1b}[31m",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "$",
    "$$",
    "${env:HOME}",
    "&name",
    "<% name %>",
    "?",
    ")",
    " DROP TABLE t; ",
    "; DROP VIEW \"sites\"; --",
    "x",
    " ",
    "\u{e9}",
    "\u{1f600}",
];

fn hostile(random: &mut fastrand::Rng) -> String {
    let pieces = (0..random.usize(1..6)).map(|_| PIECES[random.usize(..PIECES.len())]);
    pieces.collect()
}

/// Returns a table with a description and names; `names` are of a column, of a field, of a partition.
fn table(description: &str, names: &[String; 3]) -> DdlTable {
    let mut table = views(FileFormat::Json);
    description.clone_into(&mut table.description);
    let [of_column, of_field, of_partition] = names.each_ref().map(String::as_str);
    table.schema = schema(&[
        column(of_column, ColumnType::Timestamp),
        column(
            "nested",
            ColumnType::Struct(vec![column(of_field, ColumnType::Int64)]),
        ),
    ]);
    table.partition_by = schema(&[column(of_partition, ColumnType::String)]);
    table
}

fn script_of(dialect: Dialect, table: DdlTable) -> String {
    script(dialect, &bucket(), &[table]).unwrap()
}

/// A script as an engine reads it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    /// The text without comments and space, with `T` for each text in quotes and `N` for each name.
    shape: String,
    texts: Vec<String>,
    names: Vec<String>,
}

fn read(dialect: Dialect, sql: &str) -> Reading {
    let ends_a_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut reading = Reading::default();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => {
                let mut last = c;
                while let Some(next) = chars.next_if(|next| {
                    let continues = dialect == Dialect::Spark && last == '\\' && *next == '\n';
                    !ends_a_line(*next) || continues
                }) {
                    last = next;
                }
            }
            '\'' => {
                let escapes = dialect != Dialect::DuckDb;
                reading.shape.push('T');
                let text = quoted(&mut chars, c, escapes);
                // The client of Spark and those of Snowflake would replace these.
                match dialect {
                    Dialect::Spark => assert!(!text.0.contains("${"), "{sql}"),
                    Dialect::Snowflake => assert!(!text.0.contains(['&']), "{sql}"),
                    _ => {}
                }
                reading.texts.push(text.1);
            }
            '"' | '`' => {
                let escapes = dialect == Dialect::BigQuery;
                reading.shape.push('N');
                reading.names.push(quoted(&mut chars, c, escapes).1);
            }
            c if c.is_whitespace() => {}
            c => reading.shape.push(c),
        }
    }
    reading
}

/// Returns a quoted text as it stands there, and as it is meant.
fn quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    quote: char,
    escapes: bool,
) -> (String, String) {
    let (mut raw, mut meant) = (String::new(), String::new());
    while let Some(c) = chars.next() {
        raw.push(c);
        match c {
            '\\' if escapes => match chars.next().expect("an escaped character") {
                'n' => meant.push('\n'),
                'r' => meant.push('\r'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).expect("four digits");
                    meant.push(char::from_u32(code).expect("a character"));
                }
                c => {
                    assert!(c == quote || c == '\\', "an unknown escape {c:?}");
                    meant.push(c);
                }
            },
            c if c == quote => match escapes {
                false if chars.next_if_eq(&quote).is_some() => meant.push(c),
                _ => return (raw, meant),
            },
            c => {
                assert!(!c.is_control(), "a control character in quotes: {c:?}");
                meant.push(c);
            }
        }
    }
    panic!("quotes that are not closed: {raw}");
}

/// A dialect of `sqlparser` in whose texts a backslash escapes, as it does in the engine.
#[derive(Debug)]
struct Escaping<D>(D);

impl<D: SqlDialect> SqlDialect for Escaping<D> {
    fn dialect(&self) -> std::any::TypeId {
        self.0.dialect()
    }

    fn is_identifier_start(&self, c: char) -> bool {
        self.0.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        self.0.is_identifier_part(c)
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        self.0.is_delimited_identifier_start(c)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }
}

fn parser_of(dialect: Dialect) -> Box<dyn SqlDialect> {
    match dialect {
        Dialect::Athena => Box::new(Escaping(HiveDialect {})),
        Dialect::BigQuery => Box::new(BigQueryDialect),
        Dialect::DuckDb => Box::new(DuckDbDialect {}),
        Dialect::Snowflake => Box::new(SnowflakeDialect),
        Dialect::Spark => Box::new(Escaping(DatabricksDialect {})),
    }
}

/// Returns the tokens of a script without comments, texts and names.
fn tokens(dialect: Dialect, sql: &str) -> Vec<String> {
    let parser = parser_of(dialect);
    let tokens = Tokenizer::new(parser.as_ref(), sql).tokenize();
    let tokens = tokens.unwrap_or_else(|error| panic!("{error}:\n{sql}"));
    let shown = tokens.iter().filter_map(|token| match token {
        Token::Whitespace(_) => None,
        Token::SingleQuotedString(_) => Some("T".to_owned()),
        Token::Word(word) if word.quote_style.is_some() => Some("N".to_owned()),
        token => Some(token.to_string()),
    });
    shown.collect()
}

/// Returns, for each statement of a script, whether the parser knows it. No quotes have an end of a line,
/// so that only statements end so.
fn known_statements(dialect: Dialect, sql: &str) -> Vec<bool> {
    let parser = parser_of(dialect);
    let is_known = |statement: &str| {
        let parsed = Parser::parse_sql(parser.as_ref(), statement);
        parsed.is_ok_and(|statements| statements.len() == 1)
    };
    let lines = sql.lines().filter(|line| !line.starts_with("--"));
    let code = lines.map(|line| format!("{line}\n")).collect::<String>();
    code.split(";\n").map(is_known).collect()
}

fn plain(names: [&str; 3]) -> [String; 3] {
    names.map(str::to_owned)
}

#[test]
fn no_text_leaves_its_quotes_or_its_comment() {
    let mut random = fastrand::Rng::with_seed(18);
    let plain_scripts = DIALECTS.map(|dialect| {
        let sql = script_of(dialect, table("plain", &plain(["a", "b", "c"])));
        let shape = read(dialect, &sql).shape;
        (
            shape,
            tokens(dialect, &sql),
            known_statements(dialect, &sql),
        )
    });
    let mut refused = 0;
    for round in 0..2_000 {
        let description = hostile(&mut random);
        let names: [String; 3] = std::array::from_fn(|index| {
            let name = hostile(&mut random);
            // Half of them are names that every dialect can hold.
            let is_harmless = round % 2 == 0;
            let name = if is_harmless {
                one_line(&name).replace("${", "$")
            } else {
                name
            };
            format!("{index}{name}")
        });
        for (dialect, (shape, plain_tokens, known)) in DIALECTS.into_iter().zip(&plain_scripts) {
            let at = format!("{dialect:?}, round {round}: {description:?}, {names:?}");
            let hostile_script = script_of(dialect, table(&description, &names));
            let found = read(dialect, &hostile_script);
            let rules = dialect.rules();
            if names
                .iter()
                .any(|name| rules.unusable_in_name(name).is_some())
            {
                refused += 1;
                let header = read(dialect, &script(dialect, &bucket(), &[]).unwrap());
                // Snowflake's header states the formats of the tables.
                if dialect != Dialect::Snowflake {
                    assert_eq!(found, header, "{at}");
                }
                assert!(!found.shape.contains("CREATETABLE"), "{at}");
                assert!(hostile_script.contains("nothing can be stated"), "{at}");
                continue;
            }
            let shown = one_line(&description);
            assert_eq!(&found.shape, shape, "{at}\n{hostile_script}");
            assert!(found.texts.contains(&shown), "{at}\n{hostile_script}");
            // In names of BigQuery, `sqlparser` knows no escapes.
            let is_escaped = |name: &String| name.contains(['`', '\\']);
            if dialect != Dialect::BigQuery || !names.iter().any(is_escaped) {
                assert_eq!(&tokens(dialect, &hostile_script), plain_tokens, "{at}");
                if round % 8 < 2 {
                    assert_eq!(&known_statements(dialect, &hostile_script), known, "{at}");
                }
            }
            // Snowflake states no fields.
            let stated_names = match dialect {
                Dialect::Snowflake => vec![names[0].to_uppercase()],
                _ => names.to_vec(),
            };
            for stated in stated_names {
                assert!(found.names.contains(&stated), "{at}\n{hostile_script}");
            }
        }
    }
    assert!((1_000..9_000).contains(&refused), "{refused} refused");
}

#[test]
fn the_parser_knows_statements_of_these_scripts() {
    let known = DIALECTS.map(|dialect| {
        let plain_script = script_of(dialect, table("plain", &plain(["a", "b", "c"])));
        assert!(tokens(dialect, &plain_script).len() > 20, "{dialect:?}");
        let known = known_statements(dialect, &plain_script);
        known.into_iter().filter(|known| *known).count()
    });
    assert!(known.iter().sum::<usize>() > 4, "{known:?}");
}

#[test]
fn each_dialect_has_its_own_escapes() {
    let texts = DIALECTS.map(|dialect| dialect.rules().text("a'b\\c\u{2028}${d}&e"));
    assert_eq!(
        texts,
        [
            r"'a\'b\\c\u2028${d}&e'",
            r"'a\'b\\c\u2028${d}&e'",
            "'a''b\\c\u{2028}${d}&e'",
            r"'a\'b\\c\u2028${d}\u0026e'",
            r"'a\'b\\c\u2028\u0024{d}&e'",
        ]
    );
    let names = DIALECTS.map(|dialect| dialect.rules().name("a`b\\c\"d"));
    assert_eq!(
        names,
        [
            "`a``b\\c\"d`",
            r#"`a\`b\\c"d`"#,
            "\"a`b\\c\"\"d\"",
            "\"a`b\\c\"\"d\"",
            "`a``b\\c\"d`",
        ]
    );
    // Spark goes on with a comment whose line ends with a backslash.
    let comments =
        DIALECTS.map(|dialect| dialect.rules().comment("a\rDROP TABLE t\u{2028}\0;\nb \\"));
    for comment in comments {
        assert_eq!(comment, "-- a\\rDROP TABLE t\\u{2028}\\u{0};\n-- b \\ .\n");
    }
}
