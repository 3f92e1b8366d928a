"""Make shop.db, the sample database of the notebooks: `python make_shop.py [PATH]`.

A small European outdoor and home shop, December 2024 to November 2026. Everything comes from one seeded generator and
the clock is never read, so each run gives the same content. The story in the data: Coffee & Tea and Running grow
strongly in the last six months, Camera Gear declines, Garden has its season in spring, Toys theirs before Christmas.
"""

import math
import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

FIRST_DAY, LAST_DAY = date(2024, 12, 1), date(2026, 11, 22)
GROWTH_STARTS = date(2026, 5, 15)

SCHEMA = """
CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT,
  phone TEXT,
  country TEXT NOT NULL,
  signup_date DATE NOT NULL,
  newsletter BOOLEAN NOT NULL
);
CREATE TABLE categories (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);
CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  category_id INTEGER NOT NULL REFERENCES categories(id),
  name TEXT NOT NULL,
  description TEXT,
  price DECIMAL(10,2) NOT NULL,
  discontinued BOOLEAN NOT NULL
);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  order_date DATE NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('paid', 'shipped', 'refunded', 'cancelled', 'pending')),
  shipping_cost DECIMAL(10,2) NOT NULL
);
CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders(id),
  product_id INTEGER NOT NULL REFERENCES products(id),
  quantity INTEGER NOT NULL,
  unit_price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, product_id)
) WITHOUT ROWID;
CREATE VIEW sales AS
  SELECT orders.id AS order_id, orders.order_date, strftime('%Y-%m', orders.order_date) AS month,
         customers.country, orders.status, categories.name AS category, products.name AS product,
         order_items.quantity, round(order_items.quantity * order_items.unit_price, 2) AS revenue
  FROM order_items
  JOIN orders ON orders.id = order_items.order_id
  JOIN customers ON customers.id = orders.customer_id
  JOIN products ON products.id = order_items.product_id
  JOIN categories ON categories.id = products.category_id;
"""

# Category: (weight of its sales, products as "name: price in cents").
CATALOGUE: dict[str, tuple[float, tuple[tuple[str, int], ...]]] = {
    "Bikes": (
        0.6,
        (
            ("City bike Amsterdam", 54900),
            ("Gravel bike Ardèche", 149900),
            ("Kids' bike 20\"", 28900),
            ("Bike lock", 3990),
            ("Panniers, pair", 7950),
            ("Rear light", 1890),
        ),
    ),
    "Books": (
        1.5,
        (
            ("Trail atlas of Europe", 3495),
            ("The bread book", 2890),
            ("Der Wanderer", 1450),
            ("Constellations for beginners", 1995),
            ("Café society", 1650),
            ("Knots and splices", 1290),
        ),
    ),
    "Camera Gear": (
        1.2,
        (
            ("Compact camera Z3", 48900),
            ("Tripod, carbon", 18900),
            ("Lens 35 mm", 32900),
            ("Camera strap", 2950),
            ("Memory card 256 GB", 4490),
            ("Sensor cleaning kit", 1790),
        ),
    ),
    "Camping": (
        1.0,
        (
            ("Two-person tent", 21900),
            ("Sleeping bag −5 °C", 12900),
            ("Gas stove", 4450),
            ("Head torch", 3490),
            ("Folding chair", 3990),
            ("Titanium mug", 2495),
        ),
    ),
    "Coffee & Tea": (
        1.0,
        (
            ("Espresso beans 1 kg", 2190),
            ("Filter beans 500 g", 1290),
            ("Hand grinder", 7900),
            ("Gooseneck kettle", 6450),
            ("Sencha 100 g", 1480),
            ("French press", 3290),
        ),
    ),
    "Garden": (
        1.0,
        (
            ("Pruning shears", 2790),
            ("Raised bed, larch", 8900),
            ("Seed collection", 1590),
            ("Watering can 10 l", 3250),
            ("Compost bin", 6900),
            ("Bird feeder", 2450),
        ),
    ),
    "Kitchen": (
        1.3,
        (
            ("Chef's knife 20 cm", 8900),
            ("Cast-iron pan", 5990),
            ("Enamel pot 4 l", 4850),
            ("Cutting board, oak", 3890),
            ("Scale", 2690),
            ("Crème brûlée set", 3190),
        ),
    ),
    "Running": (
        1.0,
        (
            ("Running shoes Allegro", 12990),
            ("Trail shoes Núria", 14490),
            ("Running vest", 8450),
            ("Socks, 3 pairs", 1990),
            ("Sports watch", 19900),
            ("Hydration flask", 2290),
        ),
    ),
    "Toys": (
        0.9,
        (
            ("Wooden railway", 5990),
            ("Kite", 2490),
            ("Marble run", 4450),
            ("Puzzle, 1000 pieces", 1695),
            ("Building blocks", 3950),
            ("Microscope", 6990),
        ),
    ),
}
PEOPLE: dict[
    str, tuple[float, str, str]
] = {  # country: (weight, given names, family names)
    "Germany": (
        4,
        "Anna Jürgen Lukas Mia Sören Käthe Felix Änne",
        "Müller Schäfer Weiß Köhler Vogel Jäger Groß Lang",
    ),
    "France": (
        3,
        "Élodie Zoé Luc Chloé François Inès Hervé Maël",
        "Lefèvre Moreau Dubois Girard Péron Benoît Roux Caillé",
    ),
    "Spain": (
        2,
        "Núria Íñigo Lucía Álvaro Begoña José Marta Andrés",
        "Núñez García Muñoz Peña Ibáñez Castro Gil León",
    ),
    "Poland": (
        2,
        "Łukasz Zofia Paweł Małgorzata Jan Ola Michał Ewa",
        "Wiśniewski Dąbrowska Zieliński Wójcik Kurek Żak Lis Mróz",
    ),
    "Sweden": (
        1.5,
        "Åsa Björn Elin Göran Maja Örjan Saga Nils",
        "Åkesson Öberg Lindström Ek Sjögren Holm Nyström Dahl",
    ),
    "Czechia": (
        1,
        "Jiří Šárka Ondřej Žaneta Petr Lenka Tomáš Eva",
        "Dvořák Němcová Říha Černý Šimek Kučera Bílá Král",
    ),
    "Greece": (
        1,
        "Ελένη Γιώργος Μαρία Νίκος Σοφία Κώστας Άννα Δημήτρης",
        "Παπαδοπούλου Νικολάου Γεωργίου Οικονόμου Βλάχος Ιωάννου Λάμπρου Ράλλη",
    ),
    "Japan": (
        0.8,
        "愛 健 陽菜 翔太 美咲 直樹 結衣 蓮",
        "佐藤 鈴木 高橋 田中 渡辺 伊藤 山本 中村",
    ),
}


def main(path: Path) -> None:
    """Write the database to `path`, replacing what was there."""
    rng = random.Random(20261122)  # noqa: S311 - sample data, the same each time
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        customers = list(make_customers(rng))
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)", customers
        )
        products = list(make_products(rng))
        connection.executemany(
            "INSERT INTO categories VALUES (?, ?)", enumerate(CATALOGUE, 1)
        )
        connection.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?)", products
        )
        for order, items in make_orders(rng, customers, products):
            connection.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", order)
            connection.executemany("INSERT INTO order_items VALUES (?, ?, ?, ?)", items)
        connection.execute("COMMIT")
        connection.execute("VACUUM")


def make_customers(rng: random.Random, count: int = 1200) -> Iterator[tuple]:
    """Rows of `customers`: some without email or phone, some who share a name."""
    countries, weights = list(PEOPLE), [weight for weight, _, _ in PEOPLE.values()]
    for number in range(1, count + 1):
        country = rng.choices(countries, weights)[0]
        _, given, family = PEOPLE[country]
        name = f"{rng.choice(given.split())} {rng.choice(family.split())}"
        email = f"customer{number}@example.com" if rng.random() > 0.06 else None
        phone = f"+{rng.randint(30, 99)} {rng.randint(100, 999)} {rng.randint(100000, 999999)}"
        signup = (
            FIRST_DAY
            - timedelta(days=200)
            + timedelta(days=int(880 * rng.random() ** 1.3))
        )
        yield (
            number,
            name,
            email,
            phone if rng.random() > 0.35 else None,
            country,
            str(signup),
            rng.random() < 0.4,
        )


def make_products(rng: random.Random) -> Iterator[tuple]:
    """Rows of `products`: prices in cents become decimals, every fourth has no description."""
    number = 0
    for category_id, (category, (_, items)) in enumerate(CATALOGUE.items(), 1):
        for name, cents in items:
            number += 1
            description = (
                f"{name}, a favourite of our {category.lower()} customers."
                if rng.random() > 0.25
                else None
            )
            yield (
                number,
                category_id,
                name,
                description,
                cents / 100,
                rng.random() < 0.08,
            )


def make_orders(
    rng: random.Random, customers: list[tuple], products: list[tuple]
) -> Iterator[tuple[tuple, list[tuple]]]:
    """An order row with its item rows, in the order of their dates."""
    signups = sorted((date.fromisoformat(row[5]), row[0]) for row in customers)
    number, day = 0, FIRST_DAY
    while day <= LAST_DAY:
        known = [customer for signup, customer in signups if signup <= day]
        weights = {
            name: weight * demand(name, day) for name, (weight, _) in CATALOGUE.items()
        }
        mean = 1.9 * sum(weights.values()) * (1.25 if day.weekday() >= 5 else 0.9)
        for _ in range(max(0, round(rng.gauss(mean, math.sqrt(mean) / 2)))):
            number += 1
            items = make_items(rng, number, weights, products)
            yield (
                (
                    number,
                    rng.choice(known),
                    str(day),
                    status(rng, day),
                    shipping(items),
                ),
                items,
            )
        day += timedelta(days=1)


def make_items(
    rng: random.Random, order: int, weights: dict[str, float], products: list[tuple]
) -> list[tuple]:
    """One to three products of an order, mostly of one category; older orders paid a little less."""
    names = list(weights)
    chosen: dict[int, tuple] = {}
    category = rng.choices(names, list(weights.values()))[0]
    for _ in range(rng.choices((1, 2, 3), (6, 3, 1))[0]):
        if rng.random() < 0.15:
            category = rng.choices(names, list(weights.values()))[0]
        product = rng.choice([p for p in products if p[1] == names.index(category) + 1])
        quantity = (
            rng.choices((1, 2, 3, 4), (70, 20, 7, 3))[0] if product[4] < 60 else 1
        )
        discount = rng.choice((1, 1, 1, 1, 0.95, 0.9))
        chosen[product[0]] = (
            order,
            product[0],
            quantity,
            round(product[4] * discount, 2),
        )
    return list(chosen.values())


def demand(category: str, day: date) -> float:
    """How much of a category is wanted on a day, 1.0 being usual: trend times season."""
    months = (day - FIRST_DAY).days / 30.44
    late = max(0.0, (day - GROWTH_STARTS).days / 30.44)
    season = {
        "Garden": 1 + 0.8 * _wave(day, peak=120),
        "Camping": 1 + 0.6 * _wave(day, peak=185),
        "Bikes": 1 + 0.5 * _wave(day, peak=150),
        "Toys": 1 + 1.2 * max(0.0, _wave(day, peak=350)) ** 3,
        "Books": 1 + 0.3 * _wave(day, peak=345),
    }.get(category, 1.0)
    trend = {
        "Coffee & Tea": 1 + 0.32 * late,
        "Running": 1 + 0.28 * late,
        "Kitchen": 1 + 0.04 * late,
        "Camera Gear": math.exp(-0.055 * months),
    }.get(category, 1.0)
    return season * trend * (1 + 0.006 * months)


def _wave(day: date, peak: int) -> float:
    return math.cos((day.timetuple().tm_yday - peak) / 365.25 * 2 * math.pi)


def status(rng: random.Random, day: date) -> str:
    """Recent orders are pending or paid, older ones shipped; a few were refunded or cancelled."""
    age = (LAST_DAY - day).days
    if age < 4:
        return rng.choices(("pending", "paid", "cancelled"), (5, 4, 1))[0]
    if age < 12:
        return rng.choices(
            ("paid", "shipped", "cancelled", "pending"), (6, 3, 0.5, 0.5)
        )[0]
    return rng.choices(("shipped", "paid", "refunded", "cancelled"), (80, 8, 7, 5))[0]


def shipping(items: list[tuple]) -> float:
    """Free from 100, else 4.90."""
    return (
        0.0 if sum(quantity * price for _, _, quantity, price in items) >= 100 else 4.9
    )


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("shop.db")
    )
