"""A shop for paddling gear, as an SQLite database filled from a seed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from random import Random

NOW = datetime(2026, 9, 14, 9, 30, tzinfo=timezone.utc)
SEED = 20260914
SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, email TEXT, phone TEXT, company TEXT,
    street TEXT, city TEXT, postcode TEXT, country TEXT, segment TEXT, locale TEXT,
    marketing_opt_in INTEGER, created_at TEXT);
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT, category TEXT, colour TEXT,
    price_cents INTEGER, weight_grams INTEGER, supplier TEXT, description TEXT);
CREATE TABLE stock (sku TEXT, warehouse TEXT, on_hand INTEGER, reserved INTEGER,
    incoming INTEGER, bin TEXT, counted_at TEXT, PRIMARY KEY (sku, warehouse));
CREATE TABLE movements (id TEXT PRIMARY KEY, sku TEXT, warehouse TEXT, at TEXT, kind TEXT,
    quantity INTEGER, reference TEXT, actor TEXT);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer_id TEXT, status TEXT, placed_at TEXT,
    updated_at TEXT, currency TEXT, subtotal_cents INTEGER, shipping_cents INTEGER,
    tax_cents INTEGER, total_cents INTEGER, street TEXT, city TEXT, postcode TEXT, country TEXT,
    channel TEXT, gift_note TEXT);
CREATE TABLE order_lines (id TEXT PRIMARY KEY, order_id TEXT, sku TEXT, quantity INTEGER,
    unit_cents INTEGER, warehouse TEXT, status TEXT);
CREATE TABLE shipments (id TEXT PRIMARY KEY, order_id TEXT, carrier TEXT, tracking TEXT,
    status TEXT, promised_at TEXT, parcels INTEGER, weight_grams INTEGER);
CREATE TABLE scans (shipment_id TEXT, at TEXT, place TEXT, code TEXT, text TEXT);
CREATE TABLE invoices (id TEXT PRIMARY KEY, order_id TEXT, customer_id TEXT, issued_at TEXT,
    due_at TEXT, status TEXT, total_cents INTEGER, refunded_cents INTEGER, payment TEXT);
CREATE TABLE returns (id TEXT PRIMARY KEY, order_id TEXT, sku TEXT, quantity INTEGER,
    reason TEXT, status TEXT, created_at TEXT);
CREATE TABLE incidents (id TEXT PRIMARY KEY, service TEXT, severity TEXT, status TEXT,
    title TEXT, opened_at TEXT, closed_at TEXT, owner TEXT, impact TEXT);
CREATE TABLE incident_updates (incident_id TEXT, at TEXT, author TEXT, text TEXT);
CREATE TABLE service_log (service TEXT, at TEXT, level TEXT, worker TEXT, text TEXT);
CREATE TABLE notes (id TEXT PRIMARY KEY, order_id TEXT, at TEXT, author TEXT, text TEXT);
CREATE TABLE messages (id TEXT PRIMARY KEY, customer_id TEXT, at TEXT, subject TEXT, body TEXT);
"""
WAREHOUSES = ("HAM-1", "ROT-2", "LYN-3")
CARRIERS = ("Norrpost", "Kuriera", "Baltic Freight")
SERVICES = ("stock-sync", "checkout", "label-printer", "payments-bridge")
FIRST = (
    "Ada",
    "Bruno",
    "Carla",
    "Dieter",
    "Elif",
    "Fiona",
    "Goran",
    "Hanna",
    "Ivo",
    "Jana",
    "Lena",
)
LAST = ("Abel", "Brandt", "Dahl", "Farkas", "Gruber", "Holm", "Keller", "Moser", "Novak", "Toth")
CITIES = (
    ("Hamburg", "DE", "20457"),
    ("Rotterdam", "NL", "3011"),
    ("Lyon", "FR", "69002"),
    ("Aarhus", "DK", "8000"),
    ("Graz", "AT", "8010"),
    ("Brno", "CZ", "60200"),
)
STREETS = ("Harbour Street", "Mill Lane", "Station Road", "Quay Walk", "Garden Row", "Chapel Hill")
CATEGORIES = {
    "kayaks": ("Heron", "Otter", "Tern", "Grebe", "Loon"),
    "paddles": ("Reed", "Willow", "Birch", "Rowan"),
    "dry-bags": ("Pebble", "Boulder", "Cobble", "Shale"),
    "life-vests": ("Anchor", "Buoy", "Mooring", "Harbour"),
    "jackets": ("Squall", "Drizzle", "Mistral", "Gale"),
}
COLOURS = ("moss", "slate", "amber", "coral", "ink")
SUPPLIERS = ("Fjordform AS", "Tisza Works Kft", "Plan & Keel GmbH", "Atelier Rive SARL")
PRICES = {"kayaks": 84900, "paddles": 11900, "dry-bags": 2900, "life-vests": 8900, "jackets": 15900}


def build(seed: int = SEED) -> sqlite3.Connection:
    """Fill a new database in memory. The same seed gives the same rows."""
    shop = sqlite3.connect(":memory:")
    shop.row_factory = sqlite3.Row
    shop.executescript(SCHEMA)
    random = Random(seed)
    _add_customers(shop, random)
    _add_products(shop, random)
    _add_movements(shop, random)
    _add_orders(shop, random)
    _add_incidents(shop)
    _add_log(shop, random)
    return shop


def stamp(at: datetime) -> str:
    """Write a moment as the shop's services do."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def insert(shop: sqlite3.Connection, table: str, *values: object) -> None:
    """Add one row."""
    marks = ", ".join("?" * len(values))
    shop.execute(f"INSERT INTO {table} VALUES ({marks})", values)


def _ago(random: Random, days: int) -> datetime:
    return NOW - timedelta(days=random.randint(1, days), seconds=random.randint(0, 80_000))


def _code(random: Random, prefix: str, digits: int = 6) -> str:
    return f"{prefix}-{random.randrange(10**digits):0{digits}d}"


def _add_customers(shop: sqlite3.Connection, random: Random) -> None:
    for number in range(60):
        first, last = random.choice(FIRST), random.choice(LAST)
        city, country, postcode = random.choice(CITIES)
        business = number % 5 == 0
        insert(
            shop,
            "customers",
            f"cus_{4100 + number * 7}",
            f"{first} {last}",
            f"{first}.{last}{number}@example.net".lower(),
            f"+{random.randint(30, 49)} {random.randint(100, 999)} {random.randint(10**5, 10**6)}",
            f"{last} Outfitters {country}" if business else None,
            f"{random.choice(STREETS)} {random.randint(1, 140)}",
            city,
            postcode,
            country,
            "business" if business else random.choice(("new", "regular", "loyal")),
            f"{country.lower()}-{country}",
            random.randint(0, 1),
            stamp(_ago(random, 900)),
        )


def _add_products(shop: sqlite3.Connection, random: Random) -> None:
    for category, names in CATEGORIES.items():
        for name in names:
            for colour in random.sample(COLOURS, 3):
                _add_product(shop, random, (category, name, colour))


def _add_product(shop: sqlite3.Connection, random: Random, kind: tuple[str, str, str]) -> None:
    category, name, colour = kind
    sku = f"{category[:3].upper()}-{name[:3].upper()}-{colour[:2].upper()}{random.randint(10, 99)}"
    insert(
        shop,
        "products",
        sku,
        f"{name} {category.rstrip('s').replace('-', ' ')}",
        category,
        colour,
        PRICES[category] + random.randint(-9, 9) * 300,
        random.randint(3, 250) * 100,
        random.choice(SUPPLIERS),
        f"The {name} in {colour}, made for long days on lakes and slow rivers. "
        "Repairable, with spare parts kept in stock for ten years.",
    )
    for warehouse in WAREHOUSES:
        bin_ = f"{random.choice('ABCDEF')}{random.randint(1, 40):02d}-{random.randint(1, 6)}"
        counted = stamp(_ago(random, 30))
        held = (random.randint(0, 60), random.randint(0, 6), random.choice((0, 0, 12, 24)))
        insert(shop, "stock", sku, warehouse, *held, bin_, counted)


def _add_movements(shop: sqlite3.Connection, random: Random) -> None:
    kinds = ("pick", "pick", "pick", "receipt", "return", "transfer", "count-correction")
    skus = [row["sku"] for row in shop.execute("SELECT sku FROM products ORDER BY sku")]
    for number in range(2600):
        kind = random.choice(kinds)
        quantity = random.randint(4, 24) if kind == "receipt" else random.randint(1, 4)
        leaves = kind in ("pick", "transfer")
        insert(
            shop,
            "movements",
            f"mov_{880000 + number}",
            random.choice(skus),
            random.choice(WAREHOUSES),
            stamp(_ago(random, 60)),
            kind,
            -quantity if leaves else quantity,
            _code(random, {"receipt": "PO", "pick": "ORD"}.get(kind, "DOC")),
            random.choice(("scanner-04", "scanner-11", "stock-sync", "m.keller", "t.rehn")),
        )


def _add_orders(shop: sqlite3.Connection, random: Random) -> None:
    customers = shop.execute("SELECT * FROM customers ORDER BY id").fetchall()
    products = shop.execute("SELECT * FROM products ORDER BY sku").fetchall()
    for number in range(420):
        _add_order(shop, random, (f"ORD-{510200 + number * 3}", customers, products))


def _add_order(
    shop: sqlite3.Connection,
    random: Random,
    among: tuple[str, Sequence[sqlite3.Row], Sequence[sqlite3.Row]],
) -> None:
    order, customers, products = among
    buyer = random.choice(customers)
    placed = _ago(random, 75)
    lines = random.sample(products, random.randint(1, 5))
    counts = [random.choice((1, 1, 1, 2, 2, 6)) for _ in lines]
    age = (NOW - placed).days
    status = "delivered" if age > 14 else random.choice(("paid", "packed", "shipped", "shipped"))
    subtotal = sum(p["price_cents"] * n for p, n in zip(lines, counts, strict=True))
    tax, shipping = subtotal * 19 // 119, 0 if subtotal > 10_000 else 690
    where = (buyer["street"], buyer["city"], buyer["postcode"], buyer["country"])
    money = (subtotal, shipping, tax, subtotal + shipping)
    updated = stamp(min(placed + timedelta(days=random.randint(1, 9)), NOW - timedelta(hours=2)))
    channel = random.choice(("web", "web", "app", "phone"))
    row = (order, buyer["id"], status, stamp(placed), updated, "EUR", *money, *where, channel, None)
    insert(shop, "orders", *row)
    warehouse = random.choice(WAREHOUSES)
    for i, (product, count) in enumerate(zip(lines, counts, strict=True), start=1):
        line = (f"{order}/{i}", order, product["sku"], count, product["price_cents"])
        insert(shop, "order_lines", *line, warehouse, status)
    if status in ("shipped", "delivered"):
        _add_shipment(shop, random, (order, buyer["city"], placed, status == "delivered"))
    due, bill = stamp(placed + timedelta(days=30)), f"INV-{order[4:]}-{random.randint(10, 99)}"
    paid = random.choice(("paid", "paid", "open")) if buyer["company"] else "paid"
    payment = "bank transfer" if buyer["company"] else random.choice(("card", "wallet"))
    dates = (stamp(placed), due)
    insert(shop, "invoices", bill, order, buyer["id"], *dates, paid, money[3], 0, payment)


def _add_shipment(
    shop: sqlite3.Connection, random: Random, about: tuple[str, str, datetime, bool]
) -> None:
    order, city, placed, arrived = about
    stuck = not arrived and (NOW - placed).days > 6
    shipment, carrier = f"SHP-{random.randrange(10**7):07d}", random.choice(CARRIERS)
    tracking = f"{carrier[:2].upper()}{random.randrange(10**10):010d}"
    status = "delivered" if arrived else "exception" if stuck else "in_transit"
    promised, weight = stamp(placed + timedelta(days=4)), random.randint(2, 300) * 100
    row = (shipment, order, carrier, tracking, status, promised, random.randint(1, 3), weight)
    insert(shop, "shipments", *row)
    at = placed + timedelta(hours=9)
    places = (f"{random.choice(WAREHOUSES)} dock", "Hub Kassel", "Hub Kassel", f"Depot {city}")
    steps = [("PICKUP", "Parcel handed over by sender"), ("ARR", "Arrived at sorting centre")]
    steps += [("SORT", "Sorted"), ("DEP", "Left sorting centre")] * random.randint(2, 5)
    steps += [("EXC", "Label unreadable, parcel held for manual check")] * (4 if stuck else 0)
    steps += [("OUT", "Out for delivery"), ("DLV", "Delivered, left with neighbour")] * arrived
    for i, (code, text) in enumerate(steps):
        at += timedelta(minutes=random.randint(20, 500))
        place = places[min(i // 2, 3)]
        insert(shop, "scans", shipment, stamp(min(at, NOW)), place, code, text)


def _add_incidents(shop: sqlite3.Connection) -> None:
    titles = (
        ("stock-sync", "high", "Counts at ROT-2 drift after nightly import"),
        ("label-printer", "high", "Unreadable labels on parcels from HAM-1"),
        ("checkout", "medium", "Voucher box rejects valid codes in the app"),
        ("payments-bridge", "low", "Slow answers from the wallet provider"),
        ("stock-sync", "medium", "Duplicate receipts for one purchase order"),
        ("checkout", "low", "Postcode check refuses Danish postcodes"),
    )
    for i, (service, severity, title) in enumerate(titles * 3):
        opened = NOW - timedelta(days=i * 4, hours=3 * i + 2)
        number, live = f"INC-{3310 + i * 4}", i < 3
        closed = None if live else stamp(opened + timedelta(hours=30))
        status, owner = "investigating" if live else "resolved", ("t.rehn", "m.keller")[i % 2]
        impact = f"About {17 + i * 5} orders a day"
        row = (number, service, severity, status, title, stamp(opened), closed, owner, impact)
        insert(shop, "incidents", *row)
        for k, text in enumerate(_UPDATES[: 2 + i % 4]):
            insert(
                shop, "incident_updates", number, stamp(opened + timedelta(hours=k)), owner, text
            )


_UPDATES = (
    "Alert from the dashboard, confirmed by the warehouse team.",
    "Reproduced on staging with the batch of last night. Looking at the worker that retries.",
    "Workaround: run the import by hand after 06:00 and compare the totals.",
    "Fix reviewed, waiting for the release window.",
    "Released. Watching the error rate for a day.",
)


def _add_log(shop: sqlite3.Connection, random: Random) -> None:
    for service in SERVICES:
        at = NOW - timedelta(hours=3)
        while at < NOW:
            at += timedelta(milliseconds=random.randint(15_000, 110_000))
            _add_log_entry(shop, random, (service, at))


def _add_log_entry(shop: sqlite3.Connection, random: Random, about: tuple[str, datetime]) -> None:
    service, at = about
    batch, took = random.randint(88_000, 88_400), random.randint(40, 2400)
    level, text = "INFO", f"batch={batch} synced {random.randint(10, 400)} rows in {took}ms"
    chance = random.random()
    if chance < 0.10:
        level, text = "WARN", f"batch={batch} slow answer from upstream, {took + 4000}ms, retrying"
    elif chance < 0.14:
        sku = f"KAY-HER-{random.randint(10, 99)}"
        level, text = (
            "ERROR",
            f"batch={batch} row refused: sku={sku} {_TRACEBACK.replace('SERVICE', service)}",
        )
    elif chance < 0.5:
        text = f"heartbeat ok queue={random.randint(0, 30)} lag={random.randint(1, 90)}s"
    moment = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
    insert(shop, "service_log", service, moment, level, f"worker-{random.randint(1, 4)}", text)


_TRACEBACK = """expected a count, got None
Traceback (most recent call last):
  File "/srv/SERVICE/worker.py", line 212, in run
    self.apply(row)
  File "/srv/SERVICE/apply.py", line 88, in apply
    delta = int(row["count"]) - known[row["sku"]]
TypeError: int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"""
