//! Makes requests from the declarations of commands.

use rufous::base::random::Random;
use rufous::command::spec::{Group, flag};
use rufous::command::syntax::{self, Argument, Kind};
use rufous::command::table::CommandTable;

use super::compare::Check;
use super::values;
use super::{Request, Step};

/// One command or subcommand.
pub struct Form {
    /// `zadd`, `xgroup|create`.
    pub name: &'static str,
    /// Of the documentation.
    pub group: Group,
    arguments: Vec<Argument<'static>>,
    /// It may block, so only its plain form is sent.
    may_block: bool,
}

/// All commands that both servers know.
pub struct Grammar {
    forms: Vec<Form>,
}

/// Commands whose reply is chance, or which would spoil the comparison.
const LEFT_OUT: &[&str] = &[
    "randomkey",
    "migrate",
    "restore",
    "restore-asking",
    "wait",
    "keys",
    "scan",
    "object|freq",
    "object|idletime",
    "object|help",
    "object|refcount",
    "pfselftest",
    "xgroup|help",
    "xinfo|help",
    "move",
    "touch",
    "lcs",
];

/// Commands that make something: half of a round is made of them.
const MAKERS: &[&str] = &[
    "set",
    "append",
    "setrange",
    "rpush",
    "lpush",
    "hset",
    "sadd",
    "zadd",
    "xadd",
    "setbit",
    "bitfield",
    "pfadd",
    "geoadd",
    "xgroup|create",
    "xreadgroup",
];

const GROUPS: &[Group] = &[
    Group::Generic,
    Group::String,
    Group::List,
    Group::Set,
    Group::SortedSet,
    Group::Hash,
    Group::Hyperloglog,
    Group::Geo,
    Group::Stream,
    Group::Bitmap,
];

/// Options of later versions than this are not for Redis 7.0.
const FIRST_LATER_MAJOR: u32 = 8;

impl Grammar {
    /// What we declare and `known` contains; `RANDOM_COMMANDS` narrows it down.
    pub fn new(known: &[String]) -> Grammar {
        let (wanted, unwanted) = (super::list("RANDOM_COMMANDS"), super::list("RANDOM_WITHOUT"));
        let is_in = |names: &[String], name: &str, group: Group| {
            names.iter().any(|word| word == name || word == group.name())
        };
        let table = CommandTable::new();
        let mut forms = Vec::new();
        for entry in table.commands_and_subcommands() {
            let (name, group) = (entry.full_name, entry.command.group);
            let is_wanted = wanted.is_empty() || is_in(&wanted, name, group);
            if entry.is_container()
                || !is_wanted
                || is_in(&unwanted, name, group)
                || !GROUPS.contains(&group)
                || LEFT_OUT.contains(&name)
                || !known.iter().any(|other| other == name)
            {
                continue;
            }
            let arguments = syntax::parse(entry.command.doc.syntax).expect("declared correctly");
            let may_block = entry.has(flag::BLOCKING);
            forms.push(Form { name, group, arguments, may_block });
        }
        assert!(!forms.is_empty(), "no command is left to try");
        Grammar { forms }
    }

    /// A history, mostly of one or two groups.
    pub fn history(&self, random: &mut Random, count: usize) -> Vec<Step> {
        let favourites = [*pick(random, GROUPS), *pick(random, GROUPS)];
        (0..count).map(|_| self.step(random, &favourites)).collect()
    }

    fn step(&self, random: &mut Random, favourites: &[Group]) -> Step {
        let is_favoured = random.below(8) > 0;
        let makes = random.below(3) == 0;
        let fits = |form: &&Form| {
            (!is_favoured || favourites.contains(&form.group))
                && (!makes || MAKERS.contains(&form.name))
        };
        let fitting: Vec<&Form> = self.forms.iter().filter(fits).collect();
        let form = match fitting.is_empty() {
            true => pick(random, &self.forms),
            false => pick(random, &fitting),
        };
        form.step(random)
    }
}

/// One of several.
pub fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.below(from.len() as u64) as usize]
}

/// Whether something happens that does so once in `times`.
pub fn once_in(random: &mut Random, times: u64) -> bool {
    random.below(times) == 0
}

impl Form {
    fn step(&self, random: &mut Random) -> Step {
        let mut writer = Writer {
            form: self,
            random,
            request: self.name.split('|').map(|word| word.as_bytes().to_vec()).collect(),
            count_at: None,
            keys: 0,
        };
        writer.all(&self.arguments);
        let mut request = writer.request;
        // What may block must not be changed into what blocks for ever, nor what is chance into what stays.
        if !self.may_block && !matches!(self.name, "spop" | "xadd") && once_in(random, 20) {
            mutate(random, &mut request);
        }
        let (check, then) = Check::of(self.name, &mut request);
        Step { request, then, check }
    }
}

/// Makes a request that is probably wrong of one that is not.
fn mutate(random: &mut Random, request: &mut Request) {
    let at = random.below(request.len() as u64) as usize;
    match random.below(6) {
        0 if at > 0 => drop(request.remove(at)),
        1 => request.insert(at, request[at].clone()),
        2 if at > 0 => request[at] = values::junk(random),
        3 if at > 1 => request.swap(at, at - 1),
        4 => request[at].make_ascii_uppercase(),
        _ => request.push(values::junk(random)),
    }
}

/// Writes one request.
struct Writer<'w> {
    form: &'w Form,
    random: &'w mut Random,
    request: Request,
    /// Where the number of keys stands.
    count_at: Option<usize>,
    /// Keys written so far by the last repeated argument.
    keys: usize,
}

impl Writer<'_> {
    fn all(&mut self, arguments: &[Argument<'_>]) {
        for argument in arguments {
            self.argument(argument);
        }
    }

    fn argument(&mut self, argument: &Argument<'_>) {
        if is_later(argument) || argument.is_optional && self.random.below(10) < 7 {
            return;
        }
        let times = if argument.is_multiple { self.times(argument) } else { 1 };
        for time in 0..times {
            if let Some(token) = argument.token
                && (time == 0 || argument.is_token_repeated)
            {
                self.request.push(token.as_bytes().to_vec());
            }
            self.value(argument);
        }
        if argument.kind == Kind::Key && argument.is_multiple {
            self.keys = times;
            if let Some(at) = self.count_at.take()
                && !once_in(self.random, 30)
            {
                self.request[at] = times.to_string().into_bytes();
            }
        }
    }

    fn value(&mut self, argument: &Argument<'_>) {
        match argument.kind {
            Kind::PureToken => {}
            Kind::Block => self.all(&argument.members),
            Kind::OneOf => {
                let members: Vec<_> = argument
                    .members
                    .iter()
                    .filter(|member| !is_later(member) && member.name != "auto_id")
                    .collect();
                let member = *pick(self.random, &members);
                self.argument(member);
            }
            _ => {
                if argument.name == "numkeys" {
                    self.count_at = Some(self.request.len());
                }
                let value = values::value(self.random, self.form, &argument.name, argument.kind);
                self.request.push(value);
            }
        }
    }

    /// How often a repeated argument comes.
    fn times(&mut self, argument: &Argument<'_>) -> usize {
        let depends_on_keys = matches!(&*argument.name, "weight")
            || argument.name == "id" && self.form.name.starts_with("xread");
        if depends_on_keys && !once_in(self.random, 30) {
            return self.keys;
        }
        match self.random.below(100) {
            0..=59 => 1,
            60..=89 => 2 + self.random.below(3) as usize,
            // As many as cross the limits of packed forms.
            99 if argument.kind != Kind::Key => 100 + self.random.below(60) as usize,
            _ => 5 + self.random.below(8) as usize,
        }
    }
}

fn is_later(argument: &Argument<'_>) -> bool {
    let major = argument.since.and_then(|since| since.split('.').next()?.parse::<u32>().ok());
    major.is_some_and(|major| major >= FIRST_LATER_MAJOR)
}
