"""The tools of the shop's service desk, each a query on its database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from trimtab.demo.shop import NOW, insert, stamp

Row = dict[str, Any]


class Refused(Exception):
    """The shop's rules forbid what was asked."""


@dataclass(frozen=True)
class DeskTool:
    """One tool: what the model is told, and what it does."""

    description: str
    properties: Mapping[str, Mapping[str, Any]]
    run: Callable[..., object]
    """Takes the database and the arguments."""
    optional: tuple[str, ...] = ()

    def definition(self, name: str) -> Row:
        """Write the tool as an OpenAI API takes it."""
        parameters = {
            "type": "object",
            "title": name,
            "properties": {
                key: {"title": key.replace("_", " ").title(), **schema}
                for key, schema in self.properties.items()
            },
            "required": [key for key in self.properties if key not in self.optional],
            "additionalProperties": False,
        }
        told = {"name": name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": told}


def run(shop: sqlite3.Connection, name: str, arguments: Mapping[str, object]) -> str:
    """Run a tool, and write its result as the model will read it."""
    try:
        result = TOOLS[name].run(shop, **arguments)
    except Refused as error:
        result = {"error": {"type": "refused", "message": str(error), "retryable": False}}
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


def _find_customers(shop: sqlite3.Connection, query: str, limit: int = 5) -> object:
    like = f"%{query}%"
    rows = shop.execute(
        "SELECT * FROM customers WHERE email LIKE ? OR name LIKE ? OR company LIKE ?"
        " ORDER BY id LIMIT ?",
        (like, like, like, limit),
    )
    found = [_customer(row) for row in rows]
    return {"object": "list", "query": query, "count": len(found), "data": found}


def _get_customer(shop: sqlite3.Connection, customer_id: str) -> object:
    return _customer(_one(shop, "customers", customer_id))


def _list_orders(
    shop: sqlite3.Connection, customer_id: str, status: str | None = None, limit: int = 20
) -> object:
    rows = shop.execute(
        "SELECT * FROM orders WHERE customer_id = ? AND (? IS NULL OR status = ?)"
        " ORDER BY placed_at DESC LIMIT ?",
        (customer_id, status, status, limit),
    )
    data = [_summary(shop, row) for row in rows]
    return {"object": "list", "has_more": False, "count": len(data), "data": data}


def _get_order(shop: sqlite3.Connection, order_id: str) -> object:
    order = _one(shop, "orders", order_id)
    return {
        **_summary(shop, order),
        "channel": order["channel"],
        "gift_note": order["gift_note"],
        "ship_to": _address(order),
        "lines": _rows(
            shop,
            "SELECT l.id, l.sku, p.name, p.colour, l.quantity, l.unit_cents, l.warehouse, l.status"
            " FROM order_lines l JOIN products p USING (sku) WHERE order_id = ? ORDER BY l.id",
            order_id,
        ),
        "shipments": _rows(
            shop, "SELECT id, carrier, tracking, status FROM shipments WHERE order_id = ?", order_id
        ),
        "returns": _rows(shop, "SELECT * FROM returns WHERE order_id = ?", order_id),
        "notes": _rows(shop, "SELECT at, author, text FROM notes WHERE order_id = ?", order_id),
        "links": {"self": f"/v2/orders/{order_id}", "invoice": f"/v2/orders/{order_id}/invoice"},
    }


def _update_shipping_address(shop: sqlite3.Connection, order_id: str, **address: str) -> object:
    order = _one(shop, "orders", order_id)
    if order["status"] != "paid":
        raise Refused(
            f"order {order_id} is {order['status']}; an address can change only while the order"
            " is paid and not yet packed"
        )
    shop.execute(
        "UPDATE orders SET street = :street, city = :city, postcode = :postcode,"
        " country = :country, updated_at = :now WHERE id = :id",
        {**address, "now": stamp(NOW), "id": order_id},
    )
    return {"object": "order", "id": order_id, "updated": ["ship_to"], "updated_at": stamp(NOW)}


def _search_products(
    shop: sqlite3.Connection, category: str, max_price_cents: int | None = None, colour: str = ""
) -> object:
    rows = _rows(
        shop,
        "SELECT sku, name, category, colour, price_cents, weight_grams, supplier,"
        " (SELECT sum(on_hand - reserved) FROM stock WHERE stock.sku = products.sku) AS available"
        " FROM products WHERE category = ? AND (? IS NULL OR price_cents <= ?)"
        " AND (? = '' OR colour = ?) ORDER BY price_cents, sku",
        *(category, max_price_cents, max_price_cents, colour, colour),
    )
    data = [{"object": "product", **row, "currency": "EUR", "discontinued": False} for row in rows]
    return {"object": "list", "count": len(data), "data": data}


def _get_product(shop: sqlite3.Connection, sku: str) -> object:
    product = _one(shop, "products", sku, key="sku")
    media = [f"https://img.example.net/p/{sku}/{n}.jpg" for n in range(1, 4)]
    return {"object": "product", **product, "currency": "EUR", "media": media, "bundle": None}


def _check_stock(shop: sqlite3.Connection, sku: str) -> object:
    rows = _rows(shop, "SELECT * FROM stock WHERE sku = ? ORDER BY warehouse", sku)
    if not rows:
        raise Refused(f"no product has the SKU {sku!r}")
    levels = [{**row, "available": row["on_hand"] - row["reserved"]} for row in rows]
    return {"sku": sku, "as_of": stamp(NOW), "levels": levels}


def _list_stock_movements(
    shop: sqlite3.Connection, sku: str, warehouse: str, days: int = 60
) -> object:
    since = stamp(NOW - timedelta(days=days))
    rows = _rows(
        shop,
        "SELECT * FROM movements WHERE sku = ? AND (? = 'all' OR warehouse = ?) AND at >= ?"
        " ORDER BY at",
        *(sku, warehouse, warehouse, since),
    )
    return {"sku": sku, "warehouse": warehouse, "since": since, "movements": rows}


def _reserve_stock(
    shop: sqlite3.Connection, sku: str, warehouse: str, quantity: int, order_id: str
) -> object:
    rows = _rows(shop, "SELECT * FROM stock WHERE sku = ? AND warehouse = ?", sku, warehouse)
    free = rows[0]["on_hand"] - rows[0]["reserved"] if rows else 0
    if free < quantity:
        raise Refused(f"{warehouse} has {free} of {sku} available, {quantity} were asked for")
    shop.execute(
        "UPDATE stock SET reserved = reserved + ? WHERE sku = ? AND warehouse = ?",
        (quantity, sku, warehouse),
    )
    hold = f"HLD-{order_id[4:]}-{sku[-2:]}"
    until = stamp(NOW + timedelta(hours=48))
    place = {"sku": sku, "warehouse": warehouse, "bin": rows[0]["bin"], "quantity": quantity}
    return {"object": "hold", "id": hold, "order_id": order_id, **place, "expires_at": until}


def _get_shipment(shop: sqlite3.Connection, shipment_id: str) -> object:
    shipment = _one(shop, "shipments", shipment_id)
    last = _rows(
        shop, "SELECT * FROM scans WHERE shipment_id = ? ORDER BY at DESC LIMIT 1", shipment_id
    )
    return json.dumps({"object": "shipment", **shipment, "last_scan": last[0]}, indent=2)


def _track_shipment(shop: sqlite3.Connection, shipment_id: str) -> object:
    shipment = _one(shop, "shipments", shipment_id)
    scans = _rows(shop, "SELECT * FROM scans WHERE shipment_id = ? ORDER BY at", shipment_id)
    lines = [
        f"{s['at']} {shipment['tracking']} [{s['code']}] {s['place']}: {s['text']}" for s in scans
    ]
    return "\n".join([f"carrier={shipment['carrier']} promised={shipment['promised_at']}", *lines])


def _list_invoices(shop: sqlite3.Connection, customer_id: str) -> object:
    rows = _rows(
        shop, "SELECT * FROM invoices WHERE customer_id = ? ORDER BY issued_at", customer_id
    )
    data = [{"object": "invoice", **row, "currency": "EUR", "dunning_level": 0} for row in rows]
    return {"object": "list", "count": len(data), "data": data}


def _get_invoice(shop: sqlite3.Connection, invoice_id: str) -> object:
    invoice = _one(shop, "invoices", invoice_id)
    lines = _rows(
        shop,
        "SELECT l.sku, p.name, l.quantity, l.unit_cents, l.quantity * l.unit_cents AS net_cents"
        " FROM order_lines l JOIN products p USING (sku) WHERE order_id = ? ORDER BY l.id",
        invoice["order_id"],
    )
    lines = [{**line, "tax_rate": 0.19, "discount_cents": 0} for line in lines]
    return {"object": "invoice", **invoice, "currency": "EUR", "lines": lines, "credit_note": None}


def _issue_refund(
    shop: sqlite3.Connection, invoice_id: str, amount_cents: int, reason: str
) -> object:
    invoice = _one(shop, "invoices", invoice_id)
    left = invoice["total_cents"] - invoice["refunded_cents"]
    if invoice["status"] != "paid":
        raise Refused(f"invoice {invoice_id} is {invoice['status']}; only a paid one is refunded")
    if amount_cents > left:
        raise Refused(f"at most {left} cents of invoice {invoice_id} can still be refunded")
    shop.execute(
        "UPDATE invoices SET refunded_cents = refunded_cents + ? WHERE id = ?",
        (amount_cents, invoice_id),
    )
    back = {"invoice_id": invoice_id, "amount_cents": amount_cents, "currency": "EUR"}
    return {
        "object": "refund",
        "id": f"RFD-{invoice_id[4:]}",
        **back,
        "reason": reason,
        "to": invoice["payment"],
        "status": "pending",
        "expected_days": 5,
    }


def _create_return(
    shop: sqlite3.Connection, order_id: str, sku: str, quantity: int, reason: str
) -> object:
    order = _one(shop, "orders", order_id)
    lines = _rows(shop, "SELECT * FROM order_lines WHERE order_id = ? AND sku = ?", order_id, sku)
    if not lines or lines[0]["quantity"] < quantity:
        bought = lines[0]["quantity"] if lines else 0
        raise Refused(f"order {order_id} holds {bought} of {sku}, {quantity} cannot come back")
    if order["status"] != "delivered":
        raise Refused(f"order {order_id} is {order['status']}; only a delivered one comes back")
    number = f"RET-{order_id[4:]}-{sku[-2:]}"
    insert(shop, "returns", number, order_id, sku, quantity, reason, "label_sent", stamp(NOW))
    label = f"https://labels.example.net/{number}.pdf"
    return {
        "object": "return",
        "id": number,
        "order_id": order_id,
        "sku": sku,
        "quantity": quantity,
        "reason": reason,
        "status": "label_sent",
        "label": label,
    }


def _list_incidents(shop: sqlite3.Connection, service: str, status: str = "any") -> object:
    rows = _rows(
        shop,
        "SELECT * FROM incidents WHERE (? = 'any' OR service = ?) AND (? = 'any' OR status = ?)"
        " ORDER BY opened_at DESC",
        *(service, service, status, status),
    )
    return {"object": "list", "count": len(rows), "data": rows}


def _get_incident(shop: sqlite3.Connection, incident_id: str) -> object:
    incident = _one(shop, "incidents", incident_id)
    updates = _rows(
        shop,
        "SELECT at, author, text FROM incident_updates WHERE incident_id = ? ORDER BY at",
        incident_id,
    )
    return {"object": "incident", **incident, "postmortem": None, "timeline": updates}


def _read_service_log(
    shop: sqlite3.Connection, service: str, level: str = "all", lines: int = 60
) -> object:
    rows = _rows(
        shop,
        "SELECT * FROM service_log WHERE service = ? AND (? = 'all' OR level = ?)"
        " ORDER BY at DESC LIMIT ?",
        *(service, level, level, lines),
    )
    return "\n".join(
        f"{row['at']} {row['level']:<5} {row['service']} {row['worker']} {row['text']}"
        for row in reversed(rows)
    )


def _sales_report(shop: sqlite3.Connection, category: str, weeks: int = 4) -> object:
    since = stamp(NOW - timedelta(weeks=weeks))
    rows = _rows(
        shop,
        "SELECT p.sku, p.name, p.colour, count(DISTINCT o.id) AS orders, sum(l.quantity) AS units,"
        " sum(l.quantity * l.unit_cents) AS revenue FROM order_lines l JOIN products p USING (sku)"
        " JOIN orders o ON o.id = l.order_id WHERE p.category = ? AND o.placed_at >= ?"
        " GROUP BY p.sku ORDER BY revenue DESC, p.sku",
        *(category, since),
    )
    head = f"{'SKU':<18}{'PRODUCT':<22}{'COLOUR':<10}{'ORDERS':>8}{'UNITS':>8}{'REVENUE EUR':>14}"
    table = [
        f"{r['sku']:<18}{r['name']:<22}{r['colour']:<10}{r['orders']:>8}{r['units']:>8}"
        f"{r['revenue'] / 100:>14.2f}"
        for r in rows
    ]
    return "\n".join([f"Sales of {category} since {since}", "", head, "-" * len(head), *table])


def _add_note(shop: sqlite3.Connection, order_id: str, text: str) -> object:
    _one(shop, "orders", order_id)
    count = shop.execute("SELECT count(*) FROM notes").fetchone()[0]
    insert(shop, "notes", f"NOTE-{count + 1:04d}", order_id, stamp(NOW), "service-desk", text)
    return {"object": "note", "id": f"NOTE-{count + 1:04d}", "order_id": order_id}


def _send_message(shop: sqlite3.Connection, customer_id: str, subject: str, body: str) -> object:
    customer = _one(shop, "customers", customer_id)
    count = shop.execute("SELECT count(*) FROM messages").fetchone()[0]
    number = f"MSG-{count + 1:04d}"
    insert(shop, "messages", number, customer_id, stamp(NOW), subject, body)
    return {"object": "message", "id": number, "to": customer["email"], "status": "queued"}


def _one(shop: sqlite3.Connection, table: str, value: str, key: str = "id") -> Row:
    row = shop.execute(f"SELECT * FROM {table} WHERE {key} = ?", (value,)).fetchone()
    if row is None:
        raise Refused(f"nothing in {table} has the {key} {value!r}")
    return dict(row)


def _rows(shop: sqlite3.Connection, query: str, *values: object) -> list[Row]:
    return [dict(row) for row in shop.execute(query, values)]


def _customer(row: Mapping[str, Any] | sqlite3.Row) -> Row:
    keys = ("id", "name", "email", "phone", "company", "segment", "locale", "created_at")
    return {
        "object": "customer",
        **{key: row[key] for key in keys},
        "marketing_opt_in": bool(row["marketing_opt_in"]),
        "address": _address(row),
        "tax_id": None,
        "notes": None,
    }


def _address(row: Mapping[str, Any] | sqlite3.Row) -> Row:
    return {key: row[key] for key in ("street", "city", "postcode", "country")}


def _summary(shop: sqlite3.Connection, order: Mapping[str, Any] | sqlite3.Row) -> Row:
    keys = ("id", "customer_id", "status", "placed_at", "updated_at", "currency")
    money = ("subtotal_cents", "shipping_cents", "tax_cents", "total_cents")
    count = shop.execute("SELECT sum(quantity) FROM order_lines WHERE order_id = ?", (order["id"],))
    totals = {key: order[key] for key in money}
    summary = {"object": "order", **{key: order[key] for key in keys}}
    return {**summary, "items": count.fetchone()[0], "totals": totals, "discount_code": None}


def _text(description: str) -> Row:
    return {"type": "string", "description": description}


def _number(description: str) -> Row:
    return {"type": "integer", "minimum": 1, "description": description}


def _choice(description: str, *values: str) -> Row:
    return {"type": "string", "enum": list(values), "description": description}


_CUSTOMER = _text("The identifier of the customer, which starts with 'cus_', for example cus_4107.")
_ORDER = _text("The number of the order, which starts with 'ORD-', for example ORD-510203.")
_SKU = _text("The stock keeping unit of the product, exactly as the catalogue writes it.")
_SHIPMENT = _text("The number of the shipment, which starts with 'SHP-', as an order lists it.")
_INVOICE = _text("The number of the invoice, which starts with 'INV-', for example INV-510203-41.")
_REASON = _text("The reason, in one short sentence, as it should appear on the credit note.")
_CATEGORY = _choice(
    "The category of the catalogue.", "kayaks", "paddles", "dry-bags", "life-vests", "jackets"
)
_SERVICE = _choice(
    "The name of the internal service, or 'any' for all of them.",
    *("stock-sync", "checkout", "label-printer", "payments-bridge", "any"),
)

TOOLS = {
    "find_customers": DeskTool(
        "Use this tool to look for customers by a part of their e-mail address, of their name or of"
        " their company's name. Please note that the search ignores upper and lower case.",
        {
            "query": _text(
                "The text to look for, for example 'keller' or 'lena.holm@example.net'."
            ),
            "limit": _number("How many customers to return at most. The default is 5."),
        },
        _find_customers,
        ("limit",),
    ),
    "get_customer": DeskTool(
        "Use this tool to get the full record of one customer, including the address.",
        {"customer_id": _CUSTOMER},
        _get_customer,
    ),
    "list_orders": DeskTool(
        "Use this tool to list the orders of a customer, the newest first. It returns a summary of"
        " each order; in order to see lines, shipments and notes, call get_order afterwards.",
        {
            "customer_id": _CUSTOMER,
            "status": _choice(
                "Return only orders in this state.", "paid", "packed", "shipped", "delivered"
            ),
            "limit": _number("How many orders to return at most. The default is 20."),
        },
        _list_orders,
        ("status", "limit"),
    ),
    "get_order": DeskTool(
        "Use this tool to get all details of one order: its lines, totals, delivery address,"
        " shipments, returns and notes. Call it again after a change in order to verify it.",
        {"order_id": _ORDER},
        _get_order,
    ),
    "update_shipping_address": DeskTool(
        "Use this tool to change the delivery address of an order. This is possible only while the"
        " order is paid and not yet packed. All four parts of the address must be provided.",
        {
            "order_id": _ORDER,
            "street": _text("The street and the number of the house, for example 'Mill Lane 12'."),
            "city": _text("The name of the city."),
            "postcode": _text("The postal code, without the prefix of the country."),
            "country": _text("The country, as two capital letters according to ISO 3166."),
        },
        _update_shipping_address,
    ),
    "search_products": DeskTool(
        "Use this tool to search the catalogue by category, and optionally by the highest price and"
        " by colour. It returns the products together with the number that is available.",
        {
            "category": _CATEGORY,
            "max_price_cents": _number("The highest acceptable price, in cents, including tax."),
            "colour": _text("The colour, for example 'moss'. Leave it out to accept any colour."),
        },
        _search_products,
        ("max_price_cents", "colour"),
    ),
    "get_product": DeskTool(
        "Use this tool to get the full description of one product of the catalogue.",
        {"sku": _SKU},
        _get_product,
    ),
    "check_stock": DeskTool(
        "Use this tool to check how many pieces of a product each warehouse has on hand, how many"
        " of them are reserved, and how many are on their way from the supplier.",
        {"sku": _SKU},
        _check_stock,
    ),
    "list_stock_movements": DeskTool(
        "Use this tool to list what came in and what went out of a product in a warehouse, the"
        " oldest movement first. It is useful in order to explain a difference in the stock.",
        {
            "sku": _SKU,
            "warehouse": _choice("The warehouse, or 'all'.", "HAM-1", "ROT-2", "LYN-3", "all"),
            "days": _number("How many days to look back. The default is 60."),
        },
        _list_stock_movements,
        ("days",),
    ),
    "reserve_stock": DeskTool(
        "Use this tool to hold pieces of a product for an order for 48 hours. The hold is refused"
        " if the warehouse does not have as many pieces available.",
        {
            "sku": _SKU,
            "warehouse": _choice("The warehouse.", "HAM-1", "ROT-2", "LYN-3"),
            "quantity": _number("How many pieces to hold."),
            "order_id": _ORDER,
        },
        _reserve_stock,
    ),
    "get_shipment": DeskTool(
        "Use this tool to get the state of a shipment and the last scan of the carrier.",
        {"shipment_id": _SHIPMENT},
        _get_shipment,
    ),
    "track_shipment": DeskTool(
        "Use this tool to get all scans of a shipment from the carrier, the oldest first. The"
        " answer is the text of the carrier's own system.",
        {"shipment_id": _SHIPMENT},
        _track_shipment,
    ),
    "list_invoices": DeskTool(
        "Use this tool to list all invoices of a customer, the oldest first.",
        {"customer_id": _CUSTOMER},
        _list_invoices,
    ),
    "get_invoice": DeskTool(
        "Use this tool to get one invoice together with its lines and what has been refunded.",
        {"invoice_id": _INVOICE},
        _get_invoice,
    ),
    "issue_refund": DeskTool(
        "Use this tool to pay money back on a paid invoice. The amount must not be larger than what"
        " is left of the invoice. The customer must have confirmed the amount beforehand.",
        {
            "invoice_id": _INVOICE,
            "amount_cents": _number("The amount to pay back, in cents, including tax."),
            "reason": _REASON,
        },
        _issue_refund,
    ),
    "create_return": DeskTool(
        "Use this tool to register that a customer sends something back, and to create the label."
        " Only delivered orders can come back, and only as many pieces as were bought.",
        {
            "order_id": _ORDER,
            "sku": _SKU,
            "quantity": _number("How many pieces come back."),
            "reason": _REASON,
        },
        _create_return,
    ),
    "list_incidents": DeskTool(
        "Use this tool to list technical incidents of the shop's internal services, newest first.",
        {
            "service": _SERVICE,
            "status": _choice("The state of the incident.", "investigating", "resolved", "any"),
        },
        _list_incidents,
        ("status",),
    ),
    "get_incident": DeskTool(
        "Use this tool to get one incident together with its timeline.",
        {"incident_id": _text("The number of the incident, which starts with 'INC-'.")},
        _get_incident,
    ),
    "read_service_log": DeskTool(
        "Use this tool to read the latest entries of the log of an internal service. Please be"
        " aware that an entry may span several lines when it contains a traceback.",
        {
            "service": _SERVICE,
            "level": _choice("Return only entries of this level.", "INFO", "WARN", "ERROR", "all"),
            "lines": _number("How many entries to return at most. The default is 60."),
        },
        _read_service_log,
        ("level", "lines"),
    ),
    "sales_report": DeskTool(
        "Use this tool to get the sales of a category as a table, best revenue first.",
        {
            "category": _CATEGORY,
            "weeks": _number("How many weeks to look back. The default is 4."),
        },
        _sales_report,
        ("weeks",),
    ),
    "add_note": DeskTool(
        "Use this tool to write a note on an order that colleagues of the next shift can read.",
        {"order_id": _ORDER, "text": _text("The text of the note, at most three sentences.")},
        _add_note,
    ),
    "send_message": DeskTool(
        "Use this tool to send an e-mail to a customer. Do not send one without being asked to.",
        {
            "customer_id": _CUSTOMER,
            "subject": _text("The subject of the e-mail."),
            "body": _text("The text of the e-mail, without a greeting or a signature."),
        },
        _send_message,
    ),
}
