"""Makes the demo's traffic: a scripted model serves people with real tools on a real database.

Each scenario is written down; what the tools answer, and so which records the next call names,
comes from the database. Run it as `python -m trimtab.demo.make OUT`.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trimtab.demo.desk import TOOLS, run
from trimtab.demo.shop import build

MODEL = "gpt-5.2"
POLICY = """You are the service desk of Tideline, a shop for paddling gear in Hamburg, Rotterdam \
and Lyon. You help customers, who write in the chat of the web site, and colleagues from the \
warehouses and from operations, who write in the internal channel. Today is Monday, 14 September \
2026.

# How you work
- Look things up before you answer. Never guess an order number, a stock level or a date.
- Please make sure that you know who you are talking to: find the customer by e-mail address \
before you tell anything about an order. Colleagues introduce themselves with their first name.
- Do one thing at a time, and tell in one or two sentences what you are going to do before you \
change anything. Reading needs no announcement.
- After every change, get the record again in order to verify that it is as agreed.
- Answer in the language of the writer, in at most five sentences, without marketing.

# Orders and deliveries
- An order is paid, packed, shipped or delivered. It can be changed only while it is paid.
- A delivery counts as late when it is 2 days past the promised date. A late customer may choose \
between waiting and a replacement. A replacement needs a hold of the stock in one warehouse first.
- When the carrier reports an exception twice, treat the parcel as lost and offer a replacement.
- Never offer a replacement for more than 3 pieces without asking a colleague from operations.

# Returns and refunds
- Things can come back within 30 days of delivery. The customer pays the return unless we made \
the mistake. Worn jackets and vests do not come back.
- Refund only to the payment method of the invoice, and only after the customer has confirmed the \
amount. For a late delivery you may refund the shipping fee, or 5 % of the invoice if shipping was \
free, up to 40 EUR. Larger amounts go to operations.
- An open invoice cannot be refunded. Offer to correct the invoice instead.

# Stock and incidents
- The stock is counted by scanner. A difference of more than 2 pieces between the movements and \
the count is an incident of stock-sync; look for an open one before you report a new one.
- Tell customers about an incident only that we know of it and work on it.
- Read the log before you name a cause. Quote the batch number.

# Tone
Calm, concrete and kind. Use the customer's name once. Amounts with two decimals and EUR."""


class Desk:
    """Records one conversation, and runs the tools that the scripted model calls."""

    def __init__(self, shop: sqlite3.Connection, name: str) -> None:
        self.shop = shop
        self.name = name
        self.messages: list[dict[str, object]] = [{"role": "system", "content": POLICY}]
        self.count = 0

    def asks(self, text: str) -> None:
        """Record what the person writes."""
        self.messages.append({"role": "user", "content": text})

    def says(self, text: str) -> None:
        """Record what the model answers."""
        self.messages.append({"role": "assistant", "content": text})

    def calls(self, tool: str, **arguments: object) -> Any:
        """Let the model call one tool, and return its result, parsed where it is JSON."""
        return self.calls_all((tool, arguments))[0]

    def calls_all(self, *wanted: tuple[str, dict[str, object]], text: str | None = None) -> Any:
        """Let the model call several tools at once."""
        ids = [f"call_{self.name}_{self.count + i:02d}" for i in range(len(wanted))]
        self.count += len(wanted)
        calls = [
            {"id": id_, "type": "function", "function": {"name": t, "arguments": json.dumps(a)}}
            for id_, (t, a) in zip(ids, wanted, strict=True)
        ]
        self.messages.append({"role": "assistant", "content": text, "tool_calls": calls})
        results = [run(self.shop, tool, arguments) for tool, arguments in wanted]
        for id_, result in zip(ids, results, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": id_, "content": result})
        return [_parsed(result) for result in results]

    def row(self, query: str, *values: object) -> dict[str, Any]:
        """Look up who comes to the desk. The model does not see this."""
        return dict(self.shop.execute(query, values).fetchone())


Scenario = Callable[[Desk, int], None]


def conversations() -> list[dict[str, object]]:
    """Play all scenarios on one database, in order."""
    shop = build()
    tools = [tool.definition(name) for name, tool in TOOLS.items()]
    made: list[dict[str, object]] = []
    for number, (scenario, turn) in enumerate(SCRIPT, start=1):
        desk = Desk(shop, f"{number:02d}")
        scenario(desk, turn)
        name = f"{scenario.__name__.replace('_', '-')}-{turn + 1}"
        made.append({"id": name, "model": MODEL, "tools": tools, "messages": desk.messages})
    return made


def main(out: str) -> None:
    """Write the traffic, gzipped without a date, so that the same data is the same file."""
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in conversations())
    Path(out).write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))


def late_parcel(desk: Desk, turn: int) -> None:
    """A parcel is stuck at the carrier; the customer wants a replacement."""
    who = desk.row(
        "SELECT c.name, c.email, o.id FROM shipments s JOIN orders o ON o.id = s.order_id"
        " JOIN customers c ON c.id = o.customer_id WHERE s.status = 'exception'"
        " ORDER BY o.id LIMIT 1 OFFSET ?",
        turn * 2,
    )
    desk.asks(_pick(turn, _LATE).format(**who))
    customer = desk.calls("find_customers", query=who["email"])["data"][0]
    orders = desk.calls("list_orders", customer_id=customer["id"])["data"]
    late = next(order for order in orders if order["id"] == who["id"])
    order = desk.calls("get_order", order_id=late["id"])
    shipment = order["shipments"][0]["id"]
    desk.calls_all(("get_shipment", {"shipment_id": shipment}))
    desk.calls("track_shipment", shipment_id=shipment)
    desk.says(
        f"I am sorry, {customer['name'].split()[0]}: {order['shipments'][0]['carrier']} holds the"
        f" parcel of {late['id']} because its label cannot be read, and reported that more than"
        " once. I treat it as lost. Would you like to wait, or shall I send a replacement?"
    )
    desk.asks("A replacement, please, as fast as you can. Same address.")
    _replace(desk, order)
    desk.asks("Great. And do I get the shipping back for the trouble?")
    invoice = _invoice_of(desk, customer["id"], late["id"])
    amount = invoice["total_cents"] * 5 // 100 if invoice["total_cents"] > 10_690 else 690
    amount = min(amount, 4000)
    desk.says(f"For the delay I can pay back {amount / 100:.2f} EUR. Shall I?")
    desk.asks("Yes, please do.")
    _refund(desk, invoice, amount, "Late delivery, parcel lost by the carrier")
    desk.calls("get_order", order_id=late["id"])
    desk.says(
        f"Done: {late['id']} is noted as replaced, and {amount / 100:.2f} EUR are on the way."
    )


def wrong_size(desk: Desk, turn: int) -> None:
    """Something delivered comes back; first with a wrong number of pieces."""
    who = desk.row(
        "SELECT c.name, c.email, o.id, l.sku, l.quantity FROM orders o JOIN order_lines l"
        " ON l.order_id = o.id JOIN products p USING (sku) JOIN customers c"
        " ON c.id = o.customer_id WHERE o.status = 'delivered' AND p.category = 'jackets'"
        " AND o.placed_at > '2026-08-15' ORDER BY o.id LIMIT 1 OFFSET ?",
        turn * 3,
    )
    wanted = who["quantity"] + 1
    desk.asks(f"Hi, {who['name']} here ({who['email']}). The jackets are too small, all {wanted}.")
    customer = desk.calls("find_customers", query=who["email"])["data"][0]
    orders = desk.calls("list_orders", customer_id=customer["id"], status="delivered")["data"]
    order = desk.calls("get_order", order_id=who["id"])
    desk.calls("get_product", sku=who["sku"])
    desk.says(
        f"I found order {order['id']} among {len(orders)}. Shall I register {wanted} pieces"
        f" of {who['sku']} for return? As the size does not fit, the postage is on you."
    )
    desk.asks("Yes, go ahead.")
    back = {"order_id": order["id"], "sku": who["sku"], "reason": "Too small, unworn"}
    desk.calls("create_return", **back, quantity=wanted)
    desk.calls("create_return", **back, quantity=who["quantity"])
    again = desk.calls("get_order", order_id=order["id"])
    desk.says(
        f"The order holds {who['quantity']}, so I registered {again['returns'][0]['id']} for"
        " that many. The label is in your inbox. Would you like another jacket instead?"
    )
    desk.asks("Maybe. What do you have in moss or slate below 170 euros?")
    found = [
        desk.calls("search_products", category="jackets", max_price_cents=17_000, colour=colour)
        for colour in ("moss", "slate")
    ]
    choice = max((p for list_ in found for p in list_["data"]), key=lambda p: p["available"])
    desk.calls_all(("get_product", {"sku": choice["sku"]}), ("check_stock", {"sku": choice["sku"]}))
    desk.says(
        f"The {choice['name']} in {choice['colour']} ({choice['sku']}) is there, for"
        f" {choice['price_cents'] / 100:.2f} EUR."
    )
    desk.asks("I will think about it. When do I see my money?")
    invoice = _invoice_of(desk, customer["id"], order["id"])
    line = next(line for line in invoice["lines"] if line["sku"] == who["sku"])
    desk.calls(
        "add_note",
        order_id=order["id"],
        text=f"Refund {line['net_cents']} cents on {invoice['id']} when the return is in.",
    )
    desk.says(f"As soon as the return is in: {line['net_cents'] / 100:.2f} EUR within five days.")


def moved_house(desk: Desk, turn: int) -> None:
    """Two orders should go to a new address; one of them is packed already."""
    who = desk.row(
        "SELECT c.name, c.email, a.id AS open, b.id AS gone FROM orders a JOIN orders b"
        " ON a.customer_id = b.customer_id JOIN customers c ON c.id = a.customer_id"
        " WHERE a.status = 'paid' AND b.status IN ('packed', 'shipped')"
        " ORDER BY a.id, b.id LIMIT 1 OFFSET ?",
        turn,
    )
    street, city = _pick(turn, (("Mill Lane 77", "Lyon"), ("Quay Walk 5", "Aarhus")))
    desk.asks(
        f"Hello, I am {who['name']}, {who['email']}. I have moved! Please send everything"
        f" that is still open to {street}, {city}."
    )
    customer = desk.calls("find_customers", query=who["email"])["data"][0]
    desk.calls("get_customer", customer_id=customer["id"])
    orders = desk.calls("list_orders", customer_id=customer["id"])["data"]
    waiting = [order["id"] for order in orders if order["status"] in ("paid", "packed", "shipped")]
    desk.calls_all(*(("get_order", {"order_id": order}) for order in waiting))
    desk.says(f"Not delivered yet: {', '.join(waiting)}. I need the postal code and the country.")
    postcode, country = _pick(turn, (("69007", "FR"), ("8000", "DK")))
    desk.asks(f"{postcode}, {country}.")
    where = {"street": street, "city": city, "postcode": postcode, "country": country}
    for order in waiting:
        desk.calls("update_shipping_address", order_id=order, **where)
    desk.calls_all(*(("get_order", {"order_id": order}) for order in waiting))
    gone = desk.calls("get_order", order_id=who["gone"])
    desk.says(
        f"{who['open']} goes to {street}. {who['gone']} is {gone['status']}, so its address"
        " stays. Shall I leave a note for the carrier?"
    )
    desk.asks("Yes please, they can leave it with the neighbours at the old place.")
    desk.calls("add_note", order_id=who["gone"], text="Has moved. Leave it with a neighbour.")
    for parcel in gone["shipments"]:
        desk.calls("track_shipment", shipment_id=parcel["id"])
    desk.calls("get_order", order_id=who["gone"])
    desk.says("The note is on the order. Enjoy the new place!")


def missing_stock(desk: Desk, turn: int) -> None:
    """A colleague counts other numbers than the system shows."""
    colleague, warehouse = _pick(turn, (("Tilda", "ROT-2"), ("Wim", "HAM-1")))
    sku = desk.row(
        "SELECT sku, count(*) AS n FROM movements GROUP BY sku"
        " ORDER BY n DESC, sku LIMIT 1 OFFSET ?",
        turn,
    )["sku"]
    desk.asks(f"{colleague} from {warehouse}. Counted {sku} twice, it does not match the screen.")
    levels = desk.calls("check_stock", sku=sku)["levels"]
    desk.calls("list_stock_movements", sku=sku, warehouse=warehouse)
    level = next(level for level in levels if level["warehouse"] == warehouse)
    desk.says(
        f"The system says {level['on_hand']} on hand in bin {level['bin']}, last counted"
        f" {level['counted_at']}. How many are there?"
    )
    desk.asks(f"{level['on_hand'] + 5}. Did something go wrong in the import?")
    incidents = desk.calls("list_incidents", service="stock-sync")["data"]
    desk.calls("get_incident", incident_id=incidents[0]["id"])
    desk.calls("read_service_log", service="stock-sync", level="ERROR")
    desk.calls("read_service_log", service="stock-sync", lines=80)
    desk.says(
        f"Five pieces are more than the log explains; {incidents[0]['id']} is open for this."
        " Are other warehouses affected too?"
    )
    desk.asks("No idea, can you look? And which orders wait for it?")
    desk.calls("list_stock_movements", sku=sku, warehouse="all", days=21)
    waiting = desk.row(
        "SELECT order_id FROM order_lines WHERE sku = ? ORDER BY status DESC, order_id LIMIT 1", sku
    )["order_id"]
    order = desk.calls("get_order", order_id=waiting)
    desk.calls("check_stock", sku=sku)
    desk.calls(
        "add_note",
        order_id=order["id"],
        text=f"{sku}: count at {warehouse} is off by 5, see {incidents[0]['id']}.",
    )
    desk.calls("get_order", order_id=order["id"])
    desk.says(f"The other two look right. I left a note on {order['id']} with the incident.")


def broken_labels(desk: Desk, turn: int) -> None:
    """Operations wants to know who is hit by an incident, and to tell them."""
    desk.asks("Milan from operations. What is going on with the labels, and who is affected?")
    incidents = desk.calls("list_incidents", service="any", status="investigating")["data"]
    incident = next(one for one in incidents if one["service"] == "label-printer")
    desk.calls("get_incident", incident_id=incident["id"])
    desk.calls("read_service_log", service="label-printer", lines=120)
    desk.calls("read_service_log", service="label-printer", level="ERROR", lines=30)
    desk.says(
        f"{incident['id']}: {incident['title']}. Rows with an empty count are refused, and"
        " the worker prints the label of the row before. Shall I look at held parcels?"
    )
    desk.asks("Yes, the oldest four. Tell those customers that we are on it.")
    held = desk.shop.execute(
        "SELECT s.id, s.order_id FROM shipments s WHERE status = 'exception'"
        " ORDER BY promised_at LIMIT 4"
    ).fetchall()
    for shipment, order_id in held:
        desk.calls("track_shipment", shipment_id=shipment)
        order = desk.calls("get_order", order_id=order_id)
        text = f"The label of your parcel for {order_id} cannot be read. We know and work on it."
        desk.calls(
            "send_message",
            customer_id=order["customer_id"],
            subject=f"Your order {order_id}",
            body=text,
        )
    desk.says("All four have a message. Anything else?")
    desk.asks("Did checkout have errors too? I heard something about vouchers.")
    desk.calls("list_incidents", service="checkout")
    desk.calls("read_service_log", service="checkout", level="ERROR")
    desk.says("Yes, a few refused rows, the same TypeError. No new incident since this morning.")


def which_boat(desk: Desk, turn: int) -> None:
    """A customer wants advice, and compares by price, weight and stock."""
    budget = _pick(turn, (860, 840))
    desk.asks(f"I look for a light kayak below {budget} euros, and a paddle and a vest with it.")
    kayaks = desk.calls("search_products", category="kayaks", max_price_cents=budget * 100)["data"]
    light = sorted(kayaks, key=lambda p: (p["weight_grams"], p["sku"]))[:2]
    desk.calls_all(*(("get_product", {"sku": p["sku"]}) for p in light))
    desk.calls_all(*(("check_stock", {"sku": p["sku"]}) for p in light))
    best = light[0]
    desk.says(
        f"The lightest is the {best['name']} in {best['colour']} ({best['sku']}) with"
        f" {best['weight_grams'] / 1000:.1f} kg for {best['price_cents'] / 100:.2f} EUR."
    )
    desk.asks("And paddles?")
    paddles = desk.calls("search_products", category="paddles")["data"]
    paddle = min(paddles, key=lambda p: (p["weight_grams"], p["sku"]))
    desk.calls("get_product", sku=paddle["sku"])
    desk.says(f"I would take {paddle['sku']}, {paddle['price_cents'] / 100:.2f} EUR.")
    desk.asks("Fine. A vest in the colour of the kayak, if there is one.")
    desk.calls("search_products", category="life-vests", colour=best["colour"])
    vests = desk.calls("search_products", category="life-vests")["data"]
    vest = min(vests, key=lambda p: (p["colour"] != best["colour"], p["price_cents"], p["sku"]))
    desk.calls("check_stock", sku=vest["sku"])
    desk.says(f"{vest['sku']} in {vest['colour']}. Is everything to go to Hamburg?")
    desk.asks("Yes. Are all three there right now?")
    wanted = (best["sku"], paddle["sku"], vest["sku"])
    desk.calls_all(*(("check_stock", {"sku": sku}) for sku in wanted), text="Let me check again.")
    desk.calls("get_product", sku=best["sku"])
    total = best["price_cents"] + paddle["price_cents"] + vest["price_cents"]
    desk.says(f"They are: {', '.join(wanted)}, {total / 100:.2f} EUR together, shipping is free.")


def whose_invoice(desk: Desk, turn: int) -> None:
    """A company's bookkeeper goes through its invoices."""
    who = desk.row(
        "SELECT c.email, c.company, count(*) AS n FROM invoices i JOIN customers c"
        " ON c.id = i.customer_id WHERE c.company IS NOT NULL GROUP BY c.id"
        " ORDER BY n DESC, c.id LIMIT 1 OFFSET ?",
        turn,
    )
    desk.asks(f"Bookkeeping of {who['company']}, {who['email']}. Which of our invoices are open?")
    customer = desk.calls("find_customers", query=who["email"])["data"][0]
    invoices = desk.calls("list_invoices", customer_id=customer["id"])["data"]
    unpaid = [one for one in invoices if one["status"] == "open"] or invoices[:2]
    for one in unpaid[:3]:
        desk.calls("get_invoice", invoice_id=one["id"])
    desk.says(f"Open: {', '.join(one['id'] for one in unpaid)}.")
    desk.asks(f"We returned something of {unpaid[0]['order_id']}. Please refund 25 euros.")
    order = desk.calls("get_order", order_id=unpaid[0]["order_id"])
    desk.calls(
        "issue_refund", invoice_id=unpaid[0]["id"], amount_cents=2500, reason="Return of one piece"
    )
    desk.says(
        "That invoice is not paid yet, so there is nothing to refund. I can have it"
        " corrected instead; I leave a note for operations."
    )
    desk.asks("All right. And did we ever pay one twice?")
    desk.calls("add_note", order_id=order["id"], text=f"Correct {unpaid[0]['id']} by 25.00 EUR.")
    desk.calls("list_invoices", customer_id=customer["id"])
    paid = [one for one in invoices if one["status"] == "paid"]
    for one in sorted(paid, key=lambda one: -one["total_cents"])[:3]:
        desk.calls("get_invoice", invoice_id=one["id"])
    desk.calls("get_order", order_id=paid[0]["order_id"])
    desk.says(f"No: the {len(paid)} paid ones differ in date and total, and none was paid twice.")


def weekly_report(desk: Desk, turn: int) -> None:
    """A buyer wants to know what to order from the suppliers."""
    desk.asks("Rosa, purchasing. What sold best in kayaks, paddles and jackets these 8 weeks?")
    reports = [
        desk.calls("sales_report", category=category, weeks=8)
        for category in ("kayaks", "paddles", "jackets")
    ]
    top = [report.splitlines()[4].split()[0] for report in reports]
    desk.says(f"Best of each: {', '.join(top)}. Shall I check whether they run short?")
    desk.asks("Yes, with what is incoming, and how fast they leave.")
    for sku in top:
        desk.calls("check_stock", sku=sku)
        desk.calls("list_stock_movements", sku=sku, warehouse="all", days=45)
    desk.says("The stock lasts for about three weeks everywhere but in Lyon. Other categories?")
    desk.asks("Dry bags and vests as well, and compare with the four weeks before last month.")
    for category in ("dry-bags", "life-vests"):
        desk.calls("sales_report", category=category, weeks=8)
        desk.calls("sales_report", category=category, weeks=4)
        desk.calls("search_products", category=category)
    products = [desk.calls("get_product", sku=sku) for sku in top]
    suppliers = sorted({product["supplier"] for product in products})
    desk.says(f"Order first from {', '.join(suppliers)}; vests can wait until October.")


SCRIPT: tuple[tuple[Scenario, int], ...] = (
    (late_parcel, 0),
    (which_boat, 0),
    (missing_stock, 0),
    (wrong_size, 0),
    (moved_house, 0),
    (weekly_report, 0),
    (late_parcel, 1),
    (whose_invoice, 0),
    (wrong_size, 1),
    (broken_labels, 0),
    (moved_house, 1),
    (late_parcel, 2),
    (missing_stock, 1),
    (which_boat, 1),
    (whose_invoice, 1),
    (wrong_size, 2),
)

_LATE = (
    "Hello, {name} here, {email}. My order {id} should have been here last week. Where is it?",
    "{id} is late!! I paid for it and the tracking has not moved for days. {email}",
    "Good morning. Could you find out what happened to {id}? My address is {email}. {name}",
)


def _replace(desk: Desk, order: dict[str, Any]) -> None:
    """Hold the first line again, in the first warehouse that has it."""
    line = order["lines"][0]
    stock = desk.calls("check_stock", sku=line["sku"])
    quantity = min(line["quantity"], 3)
    hold = None
    for level in stock["levels"]:
        where = {"sku": line["sku"], "warehouse": level["warehouse"], "order_id": order["id"]}
        hold = desk.calls("reserve_stock", **where, quantity=quantity)
        if "error" not in hold:
            break
    desk.calls(
        "add_note",
        order_id=order["id"],
        text=f"Replacement agreed, {quantity} pieces of"
        f" {line['sku']} are on hold. The carrier has lost the first parcel.",
    )
    desk.calls("get_order", order_id=order["id"])
    until = (hold or {}).get("expires_at", "tomorrow")
    desk.says(f"{quantity} x {line['name']} are on hold until {until} and leave today.")


def _invoice_of(desk: Desk, customer: str, order: str) -> dict[str, Any]:
    invoices = desk.calls("list_invoices", customer_id=customer)["data"]
    number = next(one["id"] for one in invoices if one["order_id"] == order)
    invoice: dict[str, Any] = desk.calls("get_invoice", invoice_id=number)
    return invoice


def _refund(desk: Desk, invoice: dict[str, Any], amount: int, reason: str) -> None:
    about = {"invoice_id": invoice["id"], "amount_cents": amount, "reason": reason}
    desk.calls("issue_refund", **about)
    desk.calls("get_invoice", invoice_id=invoice["id"])


def _pick(turn: int, among: tuple[Any, ...]) -> Any:
    return among[turn % len(among)]


def _parsed(result: str) -> Any:
    try:
        return json.loads(result)
    except ValueError:
        return result


if __name__ == "__main__":
    main(sys.argv[1])
