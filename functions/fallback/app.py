"""$default: 405 where the path is known, else 404, in the dialect of the API that was addressed."""

from tillbook.http import fallback

handler = fallback(
    {
        "/": "GET",
        "/page/{file}": "GET",
        "/v1/account": "GET",
        "/openapi.json": "GET",
        "/v1/order": "POST",
        "/v1/order/{order_id+}": "POST, DELETE, GET",
        "/v1/order/{order_id}/history": "GET",
        "/v1/audiences": "GET",
        "/v1/audience/{audience_id}": "GET",
        "/v1/audience/{audience_id}/match": "POST",
        "/v1/audience/{audience_id}/rebuild": "POST",
        "/v1/jobs/{job_id}": "GET",
        "/v1/transactions": "GET, DELETE",
        "/v1/transactions/summary": "GET",
        "/v1/deadletters": "GET",
        "/v1/deadletters/{deadletter_id}": "DELETE",
        "/v1/deadletters/{deadletter_id}/replay": "POST",
        "/v3/{account_id}/shopper_activity/order": "POST",
        "/v3/{account_id}/shopper_activity/order/batch": "POST",
        "/v3/{account_id}/requests/{request_id}": "GET",
        "/v3/{account_id}/people/{id_or_email}": "GET, DELETE",
        "/v3/{account_id}/people/{id_or_email}/activity": "GET",
        "/v3/{account_id}/people/{id_or_email}/orders": "GET",
        "/v3/{account_id}/orders/{provider}/{order_id+}": "GET",
        "/v3/{account_id}/orders/{provider}/{order_id}/history": "GET",
        "/v2/{account_id}/subscribers/{id_or_email}": "GET",
    }
)
