{
  const start = new URL(document.querySelector("a.button").href);
  start.searchParams.set("rd", start.searchParams.get("rd") + location.hash);
  location.replace(start);
}
