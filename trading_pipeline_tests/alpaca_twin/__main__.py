"""`python -m trading_pipeline_tests.alpaca_twin`: a twin to try things on, until interrupted."""

from threading import Event

from rich.console import Console

from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin

if __name__ == "__main__":
    with AlpacaTwin() as twin:
        Console().print(
            f"TP_ALPACA__URL={twin.url}\nAPCA_API_KEY_ID={KEY}\nAPCA_API_SECRET_KEY={SECRET}",
            soft_wrap=True,
        )
        Event().wait()
