"""Compresses bodies by zlib with a dictionary of texts that are frequent in orders.

The first byte identifies the dictionary, so that old items stay readable after a better dictionary is added. A released
dictionary must not be changed.
"""

from __future__ import annotations

import zlib

from tillbook.rules.json_text import Json, dumps, loads

# The most frequent texts are at the end, where zlib's back references are shortest.
_DICTIONARY_1 = (
    b'"metadata":{"new_buyer":"true","promo_code":"firstTimeOrder":"false"},"category":["description":"identifier":"'
    b'"kind":"customer"email"person"value":"person_id":"customer_id":"email_sha256":"state_name":"order_date":"'
    b'"image_url":"https://www.product_url":"https://www..com/products/.jpg","order_url":"https://.com/order/'
    b'"label":"Primary BillingDefaultHomeOffice","phone":"555-+1","country":"United States","country":"USA","US",'
    b'"postal_code":"0","state":"CA","state":"NY","state":"TX","state":"FL","city":"New York","company":null,"'
    b'"address_2":"Apt. Suite Unit ","address_2":null,"address_1":" Street Avenue Road Ave. St.","name":"'
    b'"shipping_address":{"label":"","first_name":"","last_name":"","company":"","address_1":"'
    b'"billing_address":{"label":"","first_name":"","last_name":"","company":"","address_1":"'
    b'"total_discounts":0,"total_taxes":0,"total_fees":0,"total_shipping":0,"refund_amount":0.00,"currency":"EUR"GBP'
    b'"currency":"USD","grand_total":.00,"order_public_id":"#","order_id":"","action":"refunded""canceled""fulfilled'
    b'"action":"paid","action":"updated","action":"placed","provider":"shopify""woocommerce""my_custom_platform","'
    b'"order_items":[{"identifier":"","items":[{"product_id":"","product_variant_id":"","sku":"","name":"","brand":"",'
    b'"categories":["Accessories"],"price":0.00,"sale_price":0.00,"quantity":1,"discount":0.00,"taxes":0.00,"fees":0.0'
    b'0,"shipping":0.00,"total":0.00,"product_url":"https://","image_url":"https://","product_tag":"'
)


def pack(value: Json) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_DICTIONARY_1)
    return b"\x01" + compressor.compress(dumps(value).encode()) + compressor.flush()


def unpack(data: bytes) -> Json:
    """Returns the value of packed bytes. Raises ValueError if they use an unknown dictionary."""
    if data[:1] != b"\x01":
        raise ValueError("a packed body of an unknown version")
    return loads(zlib.decompressobj(-15, zdict=_DICTIONARY_1).decompress(data[1:]), ours=True)
