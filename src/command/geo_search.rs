//! Places near a place: GEOSEARCH, GEOSEARCHSTORE, and what they replaced, GEORADIUS and its like.
//!
//! Here is what they are told; the search itself is `geo_search_job`. Redis reads options and looks keys up by turns,
//! and errors come in that order.
use crate::base::number::parse_f64;
use crate::command::geo_search_job::{Options, Order, Search, Target};
use crate::command::geo_value::{position_at, unit_meters};
use crate::command::keys;
use crate::command::options::{integer, is};
use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::command::spec::{Begin, Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job};
use crate::proto::args::Args;
use crate::types::geo::{Area, Position, Shape};
use crate::types::zset::Zset;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUS_RO, GEORADIUSBYMEMBER, GEORADIUSBYMEMBER_RO];

const GEOSEARCH: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        ..doc(
            "6.2.0",
            "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area \
            around the shape provided as the filter and M is the number of items inside the shape",
            "key:key from(FROMMEMBER=member:string|\
            FROMLONLAT=longitude_latitude(longitude:double latitude:double)) \
            by(circle(BYRADIUS=radius:double unit(M|KM|FT|MI))|box(BYBOX=width:double \
            height:double unit(M|KM|FT|MI))) [order(ASC|DESC)] [count(COUNT=count:integer \
            [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
            "Query a sorted set representing a geospatial index to fetch members inside an area \
            of a box or a circle.",
        )
    },
    ..command(Group::Geo, "geosearch", -7, geosearch)
};

const GEOSEARCHSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::range(RO | ACCESS, 2, 0, 1)],
    doc: Doc {
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        ..doc(
            "6.2.0",
            "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area \
            around the shape provided as the filter and M is the number of items inside the shape",
            "destination:key source:key#1 from(FROMMEMBER=member:string|\
            FROMLONLAT=longitude_latitude(longitude:double latitude:double)) \
            by(circle(BYRADIUS=radius:double unit(M|KM|FT|MI))|box(BYBOX=width:double \
            height:double unit(M|KM|FT|MI))) [order(ASC|DESC)] [count(COUNT=count:integer \
            [ANY])] [STOREDIST]",
            "Query a sorted set representing a geospatial index to fetch members inside an area \
            of a box or a circle, and store the result in another key.",
        )
    },
    ..command(Group::Geo, "geosearchstore", -8, geosearchstore)
};

const GEORADIUS: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[
        KeySpec::first(RO | ACCESS),
        KeySpec { begin: Begin::Keyword("STORE", 6), ..KeySpec::first(OW | UPDATE) },
        KeySpec { begin: Begin::Keyword("STOREDIST", 6), ..KeySpec::first(OW | UPDATE) },
    ],
    find_keys: Some(keys::georadius_keys),
    doc: Doc {
        history: &[
            ("6.2.0", "Added the `ANY` option for `COUNT`."),
            ("7.0.0", "Added support for uppercase unit names."),
        ],
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` \
            argument",
        )),
        ..doc(
            "3.2.0",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
            circular area delimited by center and radius and M is the number of items inside the \
            index.",
            "key:key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] \
            [WITHDIST] [WITHHASH] [count(COUNT=count:integer [ANY@6.2.0])] [order(ASC|DESC)] \
            [STORE=key:key#1] [STOREDIST=key:key#2]",
            "Query a sorted set representing a geospatial index to fetch members matching a \
            given maximum distance from a point",
        )
    },
    ..command(Group::Geo, "georadius", -6, georadius)
};

const GEORADIUS_RO: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("6.2.0", "Added the `ANY` option for `COUNT`.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        ..doc(
            "3.2.10",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
            circular area delimited by center and radius and M is the number of items inside the \
            index.",
            "key:key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] \
            [WITHDIST] [WITHHASH] [count(COUNT=count:integer [ANY@6.2.0])] [order(ASC|DESC)]",
            "A read-only variant for GEORADIUS",
        )
    },
    ..command(Group::Geo, "georadius_ro", -6, georadius_ro)
};

const GEORADIUSBYMEMBER: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[
        KeySpec::first(RO | ACCESS),
        KeySpec { begin: Begin::Keyword("STORE", 5), ..KeySpec::first(OW | UPDATE) },
        KeySpec { begin: Begin::Keyword("STOREDIST", 5), ..KeySpec::first(OW | UPDATE) },
    ],
    find_keys: Some(keys::georadius_keys),
    doc: Doc {
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` \
            and `FROMMEMBER` arguments",
        )),
        ..doc(
            "3.2.0",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
            circular area delimited by center and radius and M is the number of items inside the \
            index.",
            "key:key member:string radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] \
            [WITHHASH] [count(COUNT=count:integer [ANY])] [order(ASC|DESC)] [STORE=key:key#1] \
            [STOREDIST=key:key#2]",
            "Query a sorted set representing a geospatial index to fetch members matching a \
            given maximum distance from a member",
        )
    },
    ..command(Group::Geo, "georadiusbymember", -5, georadiusbymember)
};

const GEORADIUSBYMEMBER_RO: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` \
            arguments",
        )),
        ..doc(
            "3.2.10",
            "O(N+log(M)) where N is the number of elements inside the bounding box of the \
            circular area delimited by center and radius and M is the number of items inside the \
            index.",
            "key:key member:string radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] \
            [WITHHASH] [count(COUNT=count:integer [ANY])] [order(ASC|DESC)]",
            "A read-only variant for GEORADIUSBYMEMBER",
        )
    },
    ..command(Group::Geo, "georadiusbymember_ro", -5, georadiusbymember_ro)
};

fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, 1, Form::Search)
}

fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, 2, Form::SearchStore)
}

fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, 1, Form::Radius { is_around_member: false, may_store: true })
}

fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, 1, Form::Radius { is_around_member: false, may_store: false })
}

fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, 1, Form::Radius { is_around_member: true, may_store: true })
}

fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, 1, Form::Radius { is_around_member: true, may_store: false })
}

/// How a command is told what it is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Search,
    SearchStore,
    Radius { is_around_member: bool, may_store: bool },
}

fn search(ctx: &mut Ctx<'_>, args: Args<'_>, source: usize, form: Form) -> CmdResult {
    let exists = ctx.db.get::<Zset>(args.key(source))?.is_some();
    let mut parser = Parser { source, form, exists, ..Parser::new() };
    parser.parse(ctx, args)?;
    parser.check(args)?;
    let Parser { options, shape, unit_meters, center, store, stores_distance, .. } = parser;
    let event = match form {
        Form::Search | Form::SearchStore => Event::GeoSearchStore,
        Form::Radius { .. } => Event::GeoRadiusStore,
    };
    let target = match store {
        Some(key) => Target::Store { key, stores_distance, event },
        None => Target::Reply,
    };
    let (true, Some(center), Some(shape)) = (exists, center, shape) else {
        match target {
            Target::Store { key, .. } => {
                ctx.delete(args.key(key));
                ctx.reply.int(0);
            }
            Target::Reply => ctx.reply.array(0),
        }
        return Ok(());
    };
    let area = Area { center, shape, unit_meters };
    let mut job = Search::new(ctx, args, source, area, options, target)?;
    if ctx.is_long(job.candidates()) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// What has been read so far.
struct Parser {
    /// Argument of the key that is searched.
    source: usize,
    form: Form,
    /// Whether that key is there.
    exists: bool,
    options: Options,
    center: Option<Position>,
    /// FROMMEMBER was given.
    is_around_member: bool,
    shape: Option<Shape>,
    unit_meters: f64,
    /// Argument of the key the result goes to.
    store: Option<usize>,
    stores_distance: bool,
    is_any: bool,
}

impl Parser {
    fn new() -> Parser {
        Parser {
            source: 1,
            form: Form::Search,
            exists: false,
            options: Options::default(),
            center: None,
            is_around_member: false,
            shape: None,
            unit_meters: 1.0,
            store: None,
            stores_distance: false,
            is_any: false,
        }
    }

    fn parse(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
        let mut next = match self.form {
            Form::Search => 2,
            Form::SearchStore => {
                self.store = Some(1);
                3
            }
            Form::Radius { is_around_member: false, .. } => {
                self.center = Some(position_at(args, 2)?);
                self.circle(args, 4)?;
                6
            }
            Form::Radius { is_around_member: true, .. } => {
                // Around nothing also the radius is not looked at.
                if self.exists {
                    self.center = Some(self.place_of(ctx, args, 2)?);
                    self.circle(args, 3)?;
                }
                5
            }
        };
        while next < args.len() {
            let word = args.at(next);
            let follow = args.len() - next - 1;
            let taken = match self.result_option(args, next, follow)? {
                Some(taken) => Some(taken),
                None => match self.form {
                    Form::Search | Form::SearchStore => {
                        self.area_option(ctx, args, next, follow)?
                    }
                    Form::Radius { may_store, .. } => {
                        let is_distance = is(word, "storedist");
                        let is_store = (is_distance || is(word, "store")) && may_store;
                        if is_store && follow >= 1 {
                            self.store = Some(next + 1);
                            self.stores_distance = is_distance;
                        }
                        (is_store && follow >= 1).then_some(2)
                    }
                },
            };
            next += taken.ok_or(CmdError::Syntax)?;
        }
        Ok(())
    }

    /// Takes an option about the result: how many arguments it has, itself included.
    fn result_option(
        &mut self,
        args: Args<'_>,
        at: usize,
        follow: usize,
    ) -> Result<Option<usize>, CmdError> {
        match args.at(at) {
            word if is(word, "withdist") => self.options.with_distance = true,
            word if is(word, "withhash") => self.options.with_hash = true,
            word if is(word, "withcoord") => self.options.with_position = true,
            word if is(word, "any") => self.is_any = true,
            word if is(word, "asc") => self.options.order = Some(Order::Nearest),
            word if is(word, "desc") => self.options.order = Some(Order::Farthest),
            word if is(word, "count") && follow >= 1 => {
                let count = integer(args.at(at + 1))?;
                if count <= 0 {
                    return Err(CmdError::Text("ERR COUNT must be > 0"));
                }
                self.options.count = Some(count as usize);
                return Ok(Some(2));
            }
            _ => return Ok(None),
        }
        Ok(Some(1))
    }

    /// Takes an option of GEOSEARCH about where to search.
    fn area_option(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        at: usize,
        follow: usize,
    ) -> Result<Option<usize>, CmdError> {
        let has_place = self.center.is_some() && !self.is_around_member;
        let is_box = matches!(self.shape, Some(Shape::Rectangle { .. }));
        let is_circle = matches!(self.shape, Some(Shape::Circle { .. }));
        match args.at(at) {
            word if is(word, "storedist") && self.form == Form::SearchStore => {
                self.stores_distance = true;
                Ok(Some(1))
            }
            word if is(word, "frommember") && follow >= 1 && !has_place => {
                if self.exists {
                    self.center = Some(self.place_of(ctx, args, at + 1)?);
                }
                self.is_around_member = true;
                Ok(Some(2))
            }
            word if is(word, "fromlonlat") && follow >= 2 && !self.is_around_member => {
                self.center = Some(position_at(args, at + 1)?);
                Ok(Some(3))
            }
            word if is(word, "byradius") && follow >= 2 && !is_box => {
                self.circle(args, at + 1)?;
                Ok(Some(3))
            }
            word if is(word, "bybox") && follow >= 3 && !is_circle => {
                self.rectangle(args, at + 1)?;
                Ok(Some(4))
            }
            _ => Ok(None),
        }
    }

    /// The place of the member that is this argument.
    fn place_of(
        &self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        index: usize,
    ) -> Result<Position, CmdError> {
        let zset = ctx.db.peek_as::<Zset>(args.key(self.source))?;
        let score = zset.and_then(|zset| zset.score(args.at(index)));
        let error = CmdError::Text("ERR could not decode requested zset member");
        score.map(Position::of_score).ok_or(error)
    }

    fn circle(&mut self, args: Args<'_>, at: usize) -> CmdResult {
        let error = CmdError::Text("ERR need numeric radius");
        let radius = parse_f64(args.at(at)).ok_or(error)?;
        if radius < 0.0 {
            return Err(CmdError::Text("ERR radius cannot be negative"));
        }
        self.unit_meters = unit_meters(args.at(at + 1))?;
        self.shape = Some(Shape::Circle { radius });
        Ok(())
    }

    fn rectangle(&mut self, args: Args<'_>, at: usize) -> CmdResult {
        let side = |index: usize, error: &'static str| {
            parse_f64(args.at(index)).ok_or(CmdError::Text(error))
        };
        let width = side(at, "ERR need numeric width")?;
        let height = side(at + 1, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(CmdError::Text("ERR height or width cannot be negative"));
        }
        self.unit_meters = unit_meters(args.at(at + 2))?;
        self.shape = Some(Shape::Rectangle { width, height });
        Ok(())
    }

    /// Refuses what does not go together, and completes the rest.
    fn check(&mut self, args: Args<'_>) -> CmdResult {
        let options = &mut self.options;
        if self.store.is_some() && options.shows_more() {
            return Err(CmdError::Text(match self.form {
                Form::SearchStore => {
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
                }
                Form::Search | Form::Radius { .. } => {
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
                }
            }));
        }
        if matches!(self.form, Form::Search | Form::SearchStore) {
            let name = args.at(0);
            if self.center.is_none() && !self.is_around_member {
                let text = b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
                return Err(CmdError::owned(&[text, name]));
            }
            if self.shape.is_none() {
                let text = b"ERR exactly one of BYRADIUS and BYBOX can be specified for ";
                return Err(CmdError::owned(&[text, name]));
            }
        }
        if self.is_any && options.count.is_none() {
            return Err(CmdError::Text("ERR the ANY argument requires COUNT argument"));
        }
        if self.is_any {
            options.limit = options.count;
        } else if options.count.is_some() && options.order.is_none() {
            // Of so many the nearest are meant.
            options.order = Some(Order::Nearest);
        }
        Ok(())
    }
}
