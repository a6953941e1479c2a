{
  // Fields can shadow the form's properties (DOM clobbering), so none of them is read.
  const form = document.getElementById("kept");
  const fields = Array.from(document.querySelectorAll("#kept > input"), (field) => [field.name, field.value]);
  const to = Element.prototype.getAttribute.call(form, "action");
  try {
    sessionStorage.setItem("vestibule-form", JSON.stringify({ at: Date.now(), to, fields }));
  } catch {
    const text = document.getElementById("text");
    text.textContent = text.dataset.fallback;
  }
}
