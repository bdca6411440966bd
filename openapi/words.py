"""What the document says of each field of a request. tests/openapi sees to it that none is missing and none is left."""

ORDER = {
    "order_id": "Your unique identifier of this order. It goes into paths, percent-encoded, so ?, control characters, "
    ". and .. alone are refused.",
    "order_date": "When the purchase was made: a date or a date-time with any offset (UTC if none is given).",
    "total": "The order's total value as a decimal, 0 if absent. You may wish to leave out taxes and surcharges.",
    "currency": "ISO 4217 code, in any case. USD if absent.",
    "customer_id": "Your identifier of the customer. One shaped like an e-mail address is treated as that address.",
    "customer_email": "The customer's e-mail address. It is hashed on arrival and never stored.",
    "customer_email_sha256": "SHA-256 of the trimmed, lower-cased e-mail address. Send this or customer_email.",
    "metadata": "Up to 10 keys with strings, numbers or booleans.",
    "order_items": "What was bought.",
    "shipping_address": "Where it goes to.",
    "billing_address": "Whom it is billed to.",
}
ORDER_ADDRESS = {
    "name": "Name of the recipient.",
    "company": "Company.",
    "address_1": "Number and street.",
    "address_2": "Apartment, suite, unit.",
    "city": "City.",
    "state": "State. `state_name`, as answers call it, is understood too.",
    "postal_code": "ZIP or postal code.",
    "country": "ISO 3166 code of two or three letters. USA if absent.",
}
ORDER_ITEM = {
    "identifier": "Your identifier of the item, as its UPC or SKU.",
    "description": "Name or description.",
    "quantity": "Number of units, 1 if absent.",
    "total": "Price of all units together.",
    "price": "Price of one unit.",
    "category": "Categories, the topmost first. A string is a list of one.",
    "metadata": "Up to 10 keys with strings, numbers or booleans.",
}
ORDER_ACTIVITY = {
    "provider": "Where the order comes from, in lower snake case, as shopify or my_store.",
    "person_id": "Your identifier of the person. It wins over an email, which is then ignored.",
    "email": "The person's e-mail address; it is hashed on arrival and never stored. Required without a person_id.",
    "action": "What happened to the order.",
    "occurred_at": "When it happened: ISO 8601, at most 24 hours ahead. The time of receipt if absent; with it, "
    "sending the same event again changes nothing.",
    "order_id": "Unique identifier of the order at the provider.",
    "order_public_id": "The identifier that the customer sees.",
    "grand_total": "The order's total, discounts taken off. A later event without it leaves the total as it is.",
    "total_discounts": "Discounts on the whole order.",
    "total_taxes": "Taxes on the whole order.",
    "total_fees": "Fees on the whole order.",
    "total_shipping": "Shipping of the whole order.",
    "refund_amount": "What this refund or cancelation gives back. Leave grand_total unchanged.",
    "currency": "ISO 4217 code, in any case. The account's currency if no event of the order carries one.",
    "order_url": "Link to the order.",
    "items": "What was ordered.",
    "billing_address": "Whom it is billed to.",
    "shipping_address": "Where it goes to.",
}
ACTIVITY_ITEM = {
    "product_id": "Unique identifier of the product at the provider.",
    "product_variant_id": "Unique identifier of the variant.",
    "sku": "SKU.",
    "name": "Name of the product.",
    "brand": "Brand, vendor or manufacturer.",
    "categories": "Categories of the product.",
    "price": "Price of a single product.",
    "quantity": "How many were ordered, 1 if absent.",
    "discount": "Discount on all of them. May be called `discounts`; where both are sent they must be the same.",
    "taxes": "Taxes on all of them.",
    "fees": "Fees on all of them.",
    "shipping": "Shipping of all of them.",
    "total": "The line's total after quantity, discount, taxes, fees and shipping.",
    "product_url": "Link to the product.",
    "image_url": "Link to an image of the product.",
}
ACTIVITY_ADDRESS = {
    "label": "What the address is called.",
    "first_name": "First name.",
    "last_name": "Last name.",
    "company": "Company.",
    "address_1": "Street address.",
    "address_2": "Second line of the street address.",
    "city": "City.",
    "state": "State.",
    "postal_code": "ZIP or postal code.",
    "country": "Country, as you call it.",
    "phone": "Phone number.",
}
MATCH_QUERY = {"people": "Up to 1,000 people; the results come in the same order."}
MATCH_PERSON = {
    "address": "An address; it is compared after normalisation.",
    "email": "An e-mail address.",
    "email_sha256": "SHA-256 of the trimmed, lower-cased e-mail address.",
    "customer_id": "The customer_id of the Orders API.",
}
MATCH_ADDRESS = {
    "address_1": "Number and street.",
    "address_2": "Apartment, suite, unit.",
    "city": "City.",
    "state": "State.",
    "postal_code": "ZIP or postal code.",
    "country": "Country, as its code or English name.",
}
